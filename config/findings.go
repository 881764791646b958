package config

// maxFindings bounds the problems, and the warnings, of one file: more help nobody.
const maxFindings = 200

// findings gathers everything that is wrong with one file.
type findings struct {
	problems Problems // fatal
	warnings Problems
}

// fail notes a problem.
func (f *findings) fail(at Position, path, message, hint string) {
	f.problems = f.problems.and(Problem{Position: at, Field: path, Message: message, Hint: hint})
}

// warn notes what is wrong without being fatal.
func (f *findings) warn(at Position, path, message, hint string) {
	f.warnings = f.warnings.and(Problem{Position: at, Field: path, Message: message, Hint: hint})
}

// and appends p unless there is enough already.
func (ps Problems) and(p Problem) Problems {
	if len(ps) < maxFindings {
		return append(ps, p)
	}
	return ps
}

// full reports whether further problems would be dropped, so that nobody needs to look for advice on them.
func (f *findings) full() bool { return len(f.problems) >= maxFindings }
