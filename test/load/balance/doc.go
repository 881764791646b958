// Package balance measures how calls for a model are divided among engines that are not equally fast: simulated ones, over HTTP, in real time. Its
// tests count; with -full they also measure, beside round robin, and print a table (make bench-models).
package balance
