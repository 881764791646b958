// Package embedded is the engine of a gateway that runs alone: sharded memory in
// front of one bbolt file.
//
// Reads come from memory. Writes change it and go to the file in groups: while one
// transaction is on its way to the disk, all that comes meanwhile gathers for the
// next, so the cost of reaching the disk is shared. The file is read whole when it
// is opened; one that is damaged is refused then, not found out about later.
//
// One process uses a file at a time.
package embedded
