//go:build linux

package main

import (
	"fmt"

	"github.com/headgate/headgate/test/load/generator"
)

// cell is one combination of what is varied.
type cell struct {
	Era         generator.Era `json:"era"`
	Upstreams   int           `json:"upstreams"`
	Payload     int           `json:"payload_bytes"`
	Connections int           `json:"connections"`
}

// budgetConnections is the number of connections at which the budget holds.
const budgetConnections = 16

// matrix returns all cells, in the order they are reported.
func matrix(quick bool) []cell {
	connections := []int{1, budgetConnections, 64}
	if quick {
		connections = []int{budgetConnections}
	}
	var cells []cell
	for _, upstreams := range []int{1, 10} {
		for _, payload := range []int{256, 64 << 10} {
			for _, era := range []generator.Era{generator.Legacy, generator.Modern} {
				for _, n := range connections {
					cells = append(cells, cell{Era: era, Upstreams: upstreams, Payload: payload, Connections: n})
				}
			}
		}
	}
	return cells
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %s, %s, %s", plural(c.Upstreams, "upstream"), size(c.Payload), c.Era, plural(c.Connections, "connection"))
}

// size returns a number of bytes as one says it.
func size(bytes int) string {
	if bytes >= 1<<10 && bytes%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
