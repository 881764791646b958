package rpc_test

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestParseID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ raw, shown, key string }{
		`1`:                {`1`, `1`, `1`},
		` 1 `:              {`1`, `1`, `1`},
		`"1"`:              {`"1"`, `1`, `"1`},
		`1.0`:              {`1.0`, `1.0`, `1.0`},
		`-0`:               {`-0`, `-0`, `-0`},
		`1e400`:            {`1e400`, `1e400`, `1e400`},
		`9007199254740993`: {`9007199254740993`, `9007199254740993`, `9007199254740993`},
		`"é"`:              {`"é"`, `é`, `"é`},
		`"\u00e9"`:         {`"\u00e9"`, `é`, `"é`},
		`""`:               {`""`, ``, `"`},
		`"a\"b"`:           {`"a\"b"`, `a"b`, `"a"b`},
		`"\ud83d\ude00"`:   {`"\ud83d\ude00"`, `😀`, `"😀`},
	} {
		id, err := rpc.ParseID([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := struct{ raw, shown, key string }{id.Raw(), id.String(), id.Key()}
		if got != want || id.IsZero() || id.Loose() != want.shown {
			t.Errorf("%s: %+v, loose %q, zero %v; want %+v", text, got, id.Loose(), id.IsZero(), want)
		}
	}
	for _, text := range []string{
		"", " ", "null", "true", "{}", "[1]", "1 2", `"a" x`, `"a`, `"\ud800"`, `"\q"`, "01", "-", "1.", "+1", "NaN", "\"\xff\"", "\"\n\"",
		`"` + strings.Repeat("x", 1023) + `"`, strings.Repeat("1", 1025),
	} {
		if id, err := rpc.ParseID([]byte(text)); err == nil || !id.IsZero() {
			t.Errorf("ParseID(%.40q) = %q, %v", text, id.Raw(), err)
		}
	}
}

func TestIDsThatAreTheSame(t *testing.T) {
	t.Parallel()
	key := func(text string) string {
		id, err := rpc.ParseID([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return id.Key()
	}
	if key(`"a"`) != key(`"\u0061"`) {
		t.Error("two spellings of one string have different keys")
	}
	for _, pair := range [][2]string{{`1`, `"1"`}, {`1`, `1.0`}, {`1`, `1e0`}, {`0`, `-0`}, {`"a"`, `"A"`}, {`"\u00e9"`, `"e\u0301"`}} {
		if key(pair[0]) == key(pair[1]) {
			t.Errorf("%s and %s have the same key", pair[0], pair[1])
		}
	}
}

func TestMintedIDs(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]rpc.ID{
		`0`:                    rpc.NumberID(0),
		`18446744073709551615`: rpc.NumberID(1<<64 - 1),
		`"q-1"`:                rpc.StringID("q-1"),
		`"\"\\\u000a"`:         rpc.StringID("\"\\\n"),
		"\"\ufffd\"":           rpc.StringID("\xff"),
	} {
		if id.Raw() != want {
			t.Errorf("minted %s, want %s", id.Raw(), want)
		}
		if again, err := rpc.ParseID([]byte(id.Raw())); err != nil || again != id {
			t.Errorf("%s is read as %s, %v", want, again.Raw(), err)
		}
	}
	if zero := (rpc.ID{}); zero.Key() != "" || zero.String() != "" || zero.Loose() != "" {
		t.Errorf("the zero ID shows as %q", zero)
	}
}
