package mcp

import "testing"

func TestFiltersAreWritten(t *testing.T) {
	t.Parallel()
	for want, part := range map[string]struct {
		lists            []ListChange
		resources, tasks []string
	}{
		`{}`: {},
		`{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}`: {lists: ListChanges},
		`{"resourceSubscriptions":["a\"","b"]}`:                                           {resources: []string{`a"`, "b"}},
		`{"taskIds":["1"]}`:                                                               {tasks: []string{"1"}},
		`{"promptsListChanged":true,"resourceSubscriptions":["a"],"taskIds":["1","2"]}`:   {ListChanges[1:2], []string{"a"}, []string{"1", "2"}},
	} {
		if got := string(AppendFilter(nil, part.lists, part.resources, part.tasks)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
