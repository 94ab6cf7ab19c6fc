package crypt_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
)

func master(fill byte) []byte { return bytes.Repeat([]byte{fill}, crypt.MasterKeySize) }

func vendorKeys(t *testing.T) (*crypt.Ring, *crypt.VendorKeys, []byte) {
	t.Helper()
	ring, err := crypt.NewRing(master(1))
	require.NoError(t, err)
	v := id.New[vendor.ID]()
	wrapped, err := ring.NewVendorKeys(v)
	require.NoError(t, err)
	keys, err := ring.Open(v, wrapped)
	require.NoError(t, err)
	return ring, keys, wrapped
}

func TestVendorKeys_OpenOnlyWhereItWasWritten(t *testing.T) {
	t.Parallel()
	_, keys, _ := vendorKeys(t)
	_, other, _ := vendorKeys(t)
	ct, err := keys.Encrypt(crypt.Name, "row-1", []byte("Asha"))
	require.NoError(t, err)
	require.NotContains(t, string(ct), "Asha")

	plain, err := keys.Decrypt(crypt.Name, "row-1", ct)
	require.NoError(t, err)
	require.Equal(t, "Asha", string(plain))

	_, err = keys.Decrypt(crypt.Name, "row-2", ct)
	require.ErrorIs(t, err, crypt.ErrOpen, "another row")
	_, err = keys.Decrypt(crypt.Mobile, "row-1", ct)
	require.ErrorIs(t, err, crypt.ErrOpen, "another field")
	_, err = other.Decrypt(crypt.Name, "row-1", ct)
	require.ErrorIs(t, err, crypt.ErrOpen, "another vendor")
	_, err = keys.Decrypt(crypt.Name, "row-1", nil)
	require.ErrorIs(t, err, crypt.ErrOpen, "nothing")
}

func TestVendorKeys_IndexIsStableAndPerVendor(t *testing.T) {
	t.Parallel()
	_, keys, _ := vendorKeys(t)
	_, other, _ := vendorKeys(t)
	a, err := keys.Index("+919876543210")
	require.NoError(t, err)
	require.Len(t, a, crypt.IndexSize)
	again, err := keys.Index("+919876543210")
	require.NoError(t, err)
	require.Equal(t, a, again)
	b, err := keys.Index("+919876543211")
	require.NoError(t, err)
	require.NotEqual(t, a, b)
	c, err := other.Index("+919876543210")
	require.NoError(t, err)
	require.NotEqual(t, a, c)
}

func TestRing_WrappedKeys(t *testing.T) {
	t.Parallel()
	ring, keys, wrapped := vendorKeys(t)

	_, err := ring.Open(id.New[vendor.ID](), wrapped)
	require.ErrorIs(t, err, crypt.ErrUnwrap, "another vendor's")
	_, err = ring.Open(keys.Vendor(), nil)
	require.ErrorIs(t, err, crypt.ErrDestroyed)
	_, err = ring.Open(keys.Vendor(), []byte("{}"))
	require.ErrorIs(t, err, crypt.ErrUnwrap)

	foreign, err := crypt.NewRing(master(2))
	require.NoError(t, err)
	_, err = foreign.Open(keys.Vendor(), wrapped)
	require.ErrorIs(t, err, crypt.ErrUnwrap, "another master key")

	rotated, err := crypt.NewRing(master(2), master(1))
	require.NoError(t, err)
	again, err := rotated.Open(keys.Vendor(), wrapped)
	require.NoError(t, err, "an older master key still unwraps")
	ct, err := keys.Encrypt(crypt.Name, "r", []byte("x"))
	require.NoError(t, err)
	plain, err := again.Decrypt(crypt.Name, "r", ct)
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))

	_, err = crypt.NewRing([]byte("short"))
	require.ErrorIs(t, err, crypt.ErrMasterKey)
}

func TestRing_PlatformSecrets(t *testing.T) {
	t.Parallel()
	old, err := crypt.NewRing(master(1))
	require.NoError(t, err)
	sealed, err := old.SealPlatform("spool", "a", []byte("secret"))
	require.NoError(t, err)
	rotated, err := crypt.NewRing(master(2), master(1))
	require.NoError(t, err)
	plain, err := rotated.OpenPlatform("spool", "a", sealed)
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))
	_, err = rotated.OpenPlatform("spool", "b", sealed)
	require.ErrorIs(t, err, crypt.ErrOpen)
	_, err = rotated.OpenPlatform("spool", "a", []byte("xx"))
	require.ErrorIs(t, err, crypt.ErrOpen)
}

func TestSealedFile(t *testing.T) {
	t.Parallel()
	_, keys, _ := vendorKeys(t)
	for name, size := range map[string]int{
		"empty": 0, "one byte": 1, "one segment less a byte": crypt.SegmentSize - 1, "one segment": crypt.SegmentSize,
		"one segment and a byte": crypt.SegmentSize + 1, "five segments": 5 * crypt.SegmentSize, "odd": 3*crypt.SegmentSize + 777,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := make([]byte, size)
			_, err := rand.Read(plain)
			require.NoError(t, err)
			sealed := seal(t, keys, plain)
			file := keys.OpenSealed(crypt.ImportFile, "job", int64(len(sealed)), rangesOf(sealed))
			require.EqualValues(t, size, file.Size())
			for _, cut := range [][2]int{{0, size}, {0, size / 2}, {size / 2, size}, {size / 3, size / 2}, {size, size}, {0, size + 10}} {
				r, err := file.Range(t.Context(), int64(cut[0]), int64(cut[1]))
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain[cut[0]:min(cut[1], size)], got), "range %v", cut)
				require.NoError(t, r.Close())
			}
		})
	}
}

func TestSealedFile_RefusesWhatWasCutOrMoved(t *testing.T) {
	t.Parallel()
	_, keys, _ := vendorKeys(t)
	const whole = crypt.SegmentSize + 33
	sealed := seal(t, keys, make([]byte, 3*crypt.SegmentSize))
	swapped := append(append(append([]byte{}, sealed[whole:2*whole]...), sealed[:whole]...), sealed[2*whole:]...)
	for name, bad := range map[string][]byte{"cut at a segment": sealed[:2*whole], "cut anywhere": sealed[:whole+1000], "cut in a prefix": sealed[:whole+10], "segments swapped": swapped} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := keys.OpenSealed(crypt.ImportFile, "job", int64(len(bad)), rangesOf(bad))
			r, err := file.Range(t.Context(), 0, file.Size())
			if err == nil {
				_, err = io.ReadAll(r)
			}
			require.ErrorIs(t, err, crypt.ErrOpen)
		})
	}
}

func seal(t *testing.T, keys *crypt.VendorKeys, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := keys.NewSealWriter(crypt.ImportFile, "job", &out)
	for len(plain) > 0 {
		n := min(len(plain), 10_001)
		_, err := w.Write(plain[:n])
		require.NoError(t, err)
		plain = plain[n:]
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func rangesOf(object []byte) crypt.ReadRange {
	return func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(object[off : off+n])), nil
	}
}

func TestKeys_LoadsOnceAndForgets(t *testing.T) {
	t.Parallel()
	ring, keys, wrapped := vendorKeys(t)
	var loads atomic.Int64
	cache := crypt.NewKeys(ring, func(context.Context, vendor.ID) ([]byte, error) {
		loads.Add(1)
		return wrapped, nil
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := cache.For(t.Context(), keys.Vendor())
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.LessOrEqual(t, loads.Load(), int64(20))
	before := loads.Load()
	_, err := cache.For(t.Context(), keys.Vendor())
	require.NoError(t, err)
	require.Equal(t, before, loads.Load())
	cache.Forget(keys.Vendor())
	_, err = cache.For(t.Context(), keys.Vendor())
	require.NoError(t, err)
	require.Equal(t, before+1, loads.Load())
}

func TestKeys_AFailureIsNotKept(t *testing.T) {
	t.Parallel()
	ring, keys, wrapped := vendorKeys(t)
	down := errors.New("down")
	fail := true
	cache := crypt.NewKeys(ring, func(context.Context, vendor.ID) ([]byte, error) {
		if fail {
			return nil, down
		}
		return wrapped, nil
	})
	_, err := cache.For(t.Context(), keys.Vendor())
	require.ErrorIs(t, err, down)
	fail = false
	_, err = cache.For(t.Context(), keys.Vendor())
	require.NoError(t, err)
}

func BenchmarkEncrypt(b *testing.B) {
	ring, _ := crypt.NewRing(master(1))
	wrapped, _ := ring.NewVendorKeys("v")
	keys, _ := ring.Open("v", wrapped)
	ref, plain := string(id.New[vendor.ID]()), []byte("+919876543210")
	b.Run("encrypt", func(b *testing.B) {
		for b.Loop() {
			_, _ = keys.Encrypt(crypt.Mobile, ref, plain)
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			_, _ = keys.Index("+919876543210")
		}
	})
}
