package config

import (
	"fmt"
	"time"
)

// Jobs is what clients submit to have it done later. They need a data_dir: a job is on disk before it is acknowledged.
type Jobs struct {
	// How many jobs run at a time.
	Workers int `yaml:"workers" min:"1" max:"1024"`
	// How often a job is begun at most. One that failed as often in a way that could pass is dead, and waits for an operator. With 1 no job
	// is ever begun twice: whether one that was lost with the process ran is then unknown.
	MaxAttempts int `yaml:"max_attempts" min:"1" max:"100"`
	// How long a worker may be silent until its job is given to another one.
	Visibility time.Duration `yaml:"visibility" min:"1s" max:"1h"`
	// How long a job and its result are kept after its end. Dead ones are kept for a week at least.
	ResultTTL time.Duration `yaml:"result_ttl" min:"1s" max:"720h"`
	// How long after its submission a job must have ended. Clients may ask for less, by its deadline.
	MaxAge time.Duration `yaml:"max_age" min:"1s" max:"720h"`
	// How many jobs an organisation, or a key or user without one, may have that have not ended.
	PerTenant int `yaml:"per_tenant" min:"1" max:"1048576"`
	// How large the params of a job may be.
	MaxParams Size `yaml:"max_params" min:"1KiB" max:"3MiB"`
	// How large the result of a job may be. One that has a larger one fails.
	MaxResult Size `yaml:"max_result" min:"1KiB" max:"1MiB"`
}

// defaultJobs has what jobs have before their keys are read.
func defaultJobs() Jobs {
	return Jobs{
		Workers: 8, MaxAttempts: 3, Visibility: 30 * time.Second, ResultTTL: time.Hour, MaxAge: 24 * time.Hour, PerTenant: 32 << 10,
		MaxParams: MiB, MaxResult: MiB,
	}
}

// validateJobs refuses a time in which no worker could be missed.
func (d *decoder) validateJobs(n *node, j Jobs) {
	if j.Visibility > j.MaxAge {
		d.fail(firstOf(n, n.first("visibility"), n.first("max_age")), "jobs.visibility",
			fmt.Sprintf("visibility (%s) is longer than max_age (%s)", j.Visibility, j.MaxAge), "make visibility shorter or max_age longer")
	}
}
