// Package fault holds faults that are made on purpose, and a [Ledger] of what came of them: upstreams that lie and break,
// clients that cancel at the worst moment, questions that could reach the wrong one, processes that are killed.
//
// Its tests are ordinary ones with small counts. With -full they run the counts that the ledger promises, and with -ledger
// each puts its row into a Markdown table ("make faults" does both, and writes docs/faults.md). One file is one subject;
// what several need (a gateway, clients that send exact bytes) has files of its own.
//
// A foreign caller's data, an answer too many or too few, and a goroutine that is left fail a test whatever the counts.
// Times are put into the ledger and held to bounds that a loaded machine keeps.
package fault
