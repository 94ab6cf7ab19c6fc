package metasim

import (
	"container/heap"
	"sync"
	"time"
)

// tickLength is how finely due times are told apart.
const tickLength = 5 * int64(time.Millisecond)

// job is one thing that falls due: a status of a message, or a function.
type job struct {
	f     *flight
	at    int64 // the time the status speaks of
	kind  statusKind
	again bool // a duplicate: counted apart
	do    func()
}

// scheduler keeps jobs in buckets by due tick. The zero value is ready.
type scheduler struct {
	mu      sync.Mutex
	buckets map[int64][]job
	ticks   tickHeap
	waiting int
}

func (q *scheduler) push(due int64, j job) {
	tick := (due + tickLength - 1) / tickLength // never early
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.buckets == nil {
		q.buckets = map[int64][]job{}
	}
	list, ok := q.buckets[tick]
	if !ok {
		heap.Push(&q.ticks, tick)
	}
	q.buckets[tick] = append(list, j)
	q.waiting++
}

// due takes every job whose time has come, in the order of their ticks. They
// count as waiting until done says that they are dealt with, so that nobody
// finds the simulator idle in between.
func (q *scheduler) due(now int64) []job {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []job
	for len(q.ticks) > 0 && q.ticks[0]*tickLength <= now {
		tick, _ := heap.Pop(&q.ticks).(int64)
		out = append(out, q.buckets[tick]...)
		delete(q.buckets, tick)
	}
	return out
}

func (q *scheduler) done(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = max(0, q.waiting-n) // a reset may have come between
}

func (q *scheduler) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

func (q *scheduler) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buckets, q.ticks, q.waiting = nil, nil, 0
}

type tickHeap []int64

// Len implements heap.Interface.
func (h *tickHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *tickHeap) Less(i, j int) bool { return (*h)[i] < (*h)[j] }

// Swap implements heap.Interface.
func (h *tickHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *tickHeap) Push(x any) {
	if tick, ok := x.(int64); ok {
		*h = append(*h, tick)
	}
}

// Pop implements heap.Interface.
func (h *tickHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
