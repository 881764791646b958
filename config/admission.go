package config

import (
	"fmt"
	"time"
)

// Queue bounds the calls that wait for one of an upstream's slots.
type Queue struct {
	// How many calls may wait. One more is refused with HTTP status 503. 0 lets none wait.
	Size int `yaml:"size" min:"0" max:"1048576"`
	// How many of them may be of one organisation, or of one key or user without one; at most a quarter of size. Left out, it is 100, or a
	// quarter of size where that is less.
	PerTenant int `yaml:"per_tenant" min:"1" max:"262144"`
	// How long a call may wait. One that would have to wait longer is refused at once.
	MaxWait time.Duration `yaml:"max_wait" min:"10ms" max:"1h"`
}

// Retry says how often a call is made again that failed. Only those are that certainly did not run or may run twice, before anything of
// an answer was seen.
type Retry struct {
	// How often a call is made at most, the first time included. 1 makes none again.
	Attempts int `yaml:"attempts" min:"1" max:"10"`
	// How many calls may be made again, as a share of all.
	Budget Percent `yaml:"budget" min:"0%" max:"100%"`
}

// Retries returns how often calls are made again.
func (u Upstream) Retries() Retry {
	switch {
	case u.Retry != nil:
		return *u.Retry
	case len(u.Replicas()) > 1:
		return defaultRetry()
	}
	return Retry{Attempts: 1}
}

// Priority says which calls get a slot first where calls wait for one. The first rule that concerns a caller holds.
type Priority struct {
	// Position is where the rule begins.
	Position Position `yaml:"-"`

	// Whose calls; everybody's if it is left out.
	Who Who `yaml:"who"`
	// Calls of interactive are served before those of default, and these before those of batch. Each of the lower ones still gets one slot in ten.
	Band string `yaml:"band" enum:"interactive,default,batch"`
	// The share that an organisation, or a key or user without one, has among those of its band that wait.
	Weight int `yaml:"weight" min:"1" max:"100"`
}

// PriorityOf returns the rule that concerns a caller, or one of band default with weight 1.
func PriorityOf(rules []Priority, org, team, key, user string) Priority {
	for i := range rules {
		if rules[i].Who.Matches(org, team, key, user) {
			return rules[i]
		}
	}
	return defaultPriority(Position{})
}

// Overload says when the gateway takes no more calls for want of memory. Shares are of what cannot be collected as garbage.
type Overload struct {
	// How much memory there is. Left out, it is GOMEMLIMIT or what the container may use, whichever is less; where neither is known nothing is refused.
	Memory Size `yaml:"memory" min:"0B" max:"1024GiB"`
	// The share in use from which calls of band batch are refused with HTTP status 503.
	ShedAt Percent `yaml:"shed_at" min:"10%" max:"100%"`
	// The share in use from which all calls are. With 100% for both nothing is refused.
	RefuseAt Percent `yaml:"refuse_at" min:"10%" max:"100%"`
}

// tenantShare is the part of a queue that one tenant may fill.
const tenantShare = 4

// defaultTenant is how many calls of one tenant may wait where nothing is said.
const defaultTenant = 100

// defaultQueue has what a queue has before its keys are read.
func defaultQueue() Queue {
	return Queue{Size: 1024, PerTenant: defaultTenant, MaxWait: 30 * time.Second}
}

// defaultRetry has what retries have before their keys are read.
func defaultRetry() Retry { return Retry{Attempts: 3, Budget: 10} }

// defaultPriority has what a rule of priorities has before its keys are read.
func defaultPriority(at Position) Priority {
	return Priority{Position: at, Band: "default", Weight: 1}
}

// validateQueue checks which keys of a queue go together.
func (d *decoder) validateQueue(n *node, q *Queue, path string, bounded bool, bound string) {
	if n != nil && n.kind == mapping && !bounded {
		d.fail(n.at, path, "calls wait only where max_in_flight bounds how many run", "add "+bound)
	}
	most := max(1, q.Size/tenantShare)
	own := n.first("per_tenant")
	if own == nil {
		q.PerTenant = min(q.PerTenant, most)
		return
	}
	if q.PerTenant > most {
		d.fail(own.at, join(path, "per_tenant"), fmt.Sprintf("per_tenant (%d) is more than a quarter of size (%d)", q.PerTenant, q.Size),
			fmt.Sprintf("make it at most %d, or size larger", most))
	}
}

// validatePriorities refuses rules that no caller reaches.
func (d *decoder) validatePriorities(n *node, rules []Priority) {
	for i, item := range elements(n) {
		if item.first("who") == nil && i+1 < len(rules) {
			d.fail(rules[i].Position, fmt.Sprintf("priorities[%d]", i), "this rule is for everybody: those after it are never reached", "make it the last one")
			return
		}
	}
}

// validateOverload checks the order of the shares.
func (d *decoder) validateOverload(n *node, o Overload) {
	if o.ShedAt > o.RefuseAt {
		d.fail(firstOf(n, n.first("shed_at"), n.first("refuse_at")), "overload.shed_at",
			fmt.Sprintf("shed_at (%d%%) is more than refuse_at (%d%%)", o.ShedAt, o.RefuseAt), "make shed_at smaller or refuse_at larger")
	}
}
