package importing

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

// Entry is what the first pass over a file keeps of one row: its number, or its fault.
// With it the second pass parses no number again, and which of two rows for one number
// counts is settled before any chunk is written, whatever order the chunks finish in.
type Entry struct {
	Row      uint32 // as a spreadsheet counts
	FirstRow uint32 // for FaultDuplicate: the row that counts
	digits   uint64 // E.164 without the plus sign
	region   [2]byte
	Fault    Fault
}

// EntrySize is the length of an encoded entry, in bytes.
const EntrySize = 20

// NewEntry keeps a checked row.
func NewEntry(row int, n phone.Number, f Fault) Entry {
	e := Entry{Row: uint32(row), Fault: f} //nolint:gosec // rows are bounded far below
	if f == NoFault {
		e.digits, _ = strconv.ParseUint(n.Digits(), 10, 64) // at most 17 digits, checked by package phone
		copy(e.region[:], n.Region())
	}
	return e
}

// Number returns the row's number; the zero Number when the row has a fault of its own.
func (e Entry) Number() phone.Number {
	if e.digits == 0 {
		return phone.Number{}
	}
	var text strings.Builder
	text.Grow(18)
	text.WriteByte('+')
	text.WriteString(strconv.FormatUint(e.digits, 10))
	return phone.Restore(text.String(), string(e.region[:]))
}

// AppendBinary encodes the entry.
func (e Entry) AppendBinary(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.digits)
	b = binary.LittleEndian.AppendUint32(b, e.Row)
	b = binary.LittleEndian.AppendUint32(b, e.FirstRow)
	return append(b, e.region[0], e.region[1], byte(e.Fault), 0)
}

// DecodeEntry reads what AppendBinary wrote; b must be EntrySize long.
func DecodeEntry(b []byte) Entry {
	_ = b[EntrySize-1]
	return Entry{
		digits: binary.LittleEndian.Uint64(b), Row: binary.LittleEndian.Uint32(b[8:]), FirstRow: binary.LittleEndian.Uint32(b[12:]),
		region: [2]byte{b[16], b[17]}, Fault: Fault(b[18]),
	}
}

// MarkDuplicates marks every row whose number an earlier row without fault has. The
// entries are in the order of the file.
func MarkDuplicates(entries []Entry) {
	order := make([]int32, 0, len(entries))
	for i := range entries {
		if entries[i].Fault == NoFault {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := entries[a].digits, entries[b].digits
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return int(a) - int(b)
	})
	for k := 1; k < len(order); k++ {
		this, first := &entries[order[k]], &entries[order[k-1]]
		if this.digits != first.digits {
			continue
		}
		this.Fault, this.FirstRow = FaultDuplicate, first.Row
		if first.Fault == FaultDuplicate {
			this.FirstRow = first.FirstRow
		}
	}
}
