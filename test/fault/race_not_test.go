//go:build !race

package fault

const memoryOfRaces = 1
