package subjects

// FNV-1a, 32 bit: http://www.isthe.com/chongo/tech/comp/fnv/.
const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

// Partition is the number, 0 to Partitions-1, in the room's live and nudge
// subjects. It equals what nats-server computes for partition(256,1,2): the FNV-1a
// hash of the two subject tokens, written together without a separator, modulo
// 256. It does not allocate.
func (r Room) Partition() int {
	return int(hash(hash(fnvOffset, r.Kind), r.ID) % Partitions)
}

// hash continues an FNV-1a hash over the subject token for s.
func hash(h uint32, s string) uint32 {
	for i := range len(s) {
		c := s[i]
		if safe(c) {
			h = (h ^ uint32(c)) * fnvPrime
			continue
		}
		h = (h ^ '%') * fnvPrime
		h = (h ^ uint32(upperHex[c>>4])) * fnvPrime
		h = (h ^ uint32(upperHex[c&0xf])) * fnvPrime
	}
	return h
}
