//go:build race

package fault

// memoryOfRaces is how many times as much memory a program takes that looks for races.
const memoryOfRaces = 10
