package metasim

// salts keep independent decisions about one recipient independent.
const (
	saltFate uint64 = iota + 1
	saltRead
	saltSkip
	saltDuplicate
	saltReorder
	saltSentFirst
	saltSentDelay
	saltDeliveredDelay
	saltReadDelay
	saltLatency
	saltUser
	saltRule
	saltShuffle
	saltRetry
	saltTrace
)

// mix is splitmix64's finaliser: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// roll is a number in [0,1) that only depends on its arguments.
func roll(seed, salt, key uint64) float64 {
	return float64(mix(mix(seed^mix(salt))^key)>>11) / (1 << 53)
}

// hashString is FNV-1a, for keys of text that must be the same in every run.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
