// Package conversation remembers what clients say to models in sessions of the inference dialect whose clients want that: what
// was said to each model and what it answered, the context that its server makes of that, and what all of it used. An
// invoke that has a prompt and nothing more goes on with what was said before.
//
// Sessions themselves, who has one and that it ends, are the business of package session. What is remembered is in
// an engine, by the key of the session; without a wish for history nothing is.
package conversation
