package embedded

// timed is something that happens at a time, in nanoseconds, unless it is taken out of
// its heap before. Its place is its own, so that finding it costs nothing.
type timed interface {
	due() int64
	place() *int // one more than its index; zero if it is in no heap
}

// heap has whatever is due first at its beginning.
type heap[T timed] []T

func (h heap[T]) first() (T, bool) {
	if len(h) == 0 {
		var none T
		return none, false
	}
	return h[0], true
}

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	*x.place() = len(*h)
	h.up(len(*h) - 1)
}

// fix puts x where it belongs after its time has changed.
func (h heap[T]) fix(x T) {
	i := *x.place() - 1
	h.up(i)
	h.down(i)
}

// remove takes x out, if it is there.
func (h *heap[T]) remove(x T) {
	i, last := *x.place()-1, len(*h)-1
	if i < 0 {
		return
	}
	h.swap(i, last)
	var none T
	(*h)[last] = none
	*h = (*h)[:last]
	*x.place() = 0
	if i < last {
		h.fix((*h)[i])
	}
}

func (h heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].due() <= h[i].due() {
			return
		}
		h.swap(parent, i)
		i = parent
	}
}

func (h heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].due() < h[child].due() {
			child++
		}
		if h[i].due() <= h[child].due() {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h heap[T]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i+1, j+1
}
