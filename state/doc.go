// Package state says what the gateway remembers beyond a call, as interfaces of
// operations, one for each need. An engine, such as the one in state/embedded,
// implements them; nothing above knows which one runs.
//
// What an engine has acknowledged it knows after a crash, unless the operation says
// otherwise. Engines are bounded: they forget what has expired and, where there is
// too much of it, what matters least. Package statetest holds the suite that each
// engine passes.
package state
