package crypt

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// Field says which column or object a ciphertext belongs to. The values are part of
// the associated data: renaming one makes what it sealed unreadable.
type Field string

// The fields in use. A message's copies of a contact's mobile and name keep the
// contact's field and id, so that the ciphertext can be copied as it is.
const (
	Mobile       Field = "mobile"        // ref: contact id
	Name         Field = "name"          // ref: contact id
	Audit        Field = "audit"         // ref: contact id, or import id for a refused upload
	WABAToken    Field = "waba_token"    // ref: id of the wabas row
	ImportFile   Field = "import_file"   // ref: import id; of its copy in UTF-8, import id + "/data"
	ImportRows   Field = "import_rows"   // ref: import id
	ImportErrors Field = "import_errors" // ref: import id + "/" + chunk number
	ImportSample Field = "import_sample" // ref: import id
	Message      Field = "message"       // ref: message id; what a one-off message says
	Inbound      Field = "inbound"       // ref: inbound_messages id
)

// IndexSize is the length of a blind index, in bytes (HMAC-SHA256).
const IndexSize = 32

// VendorKeys encrypt, decrypt and index for one vendor. Safe for concurrent use.
type VendorKeys struct {
	vendor vendor.ID
	aead   tink.AEAD
	index  *prf.Set
}

// Vendor returns whose keys these are.
func (k *VendorKeys) Vendor() vendor.ID { return k.vendor }

// Encrypt seals plaintext for one place: the field of the row ref.
func (k *VendorKeys) Encrypt(field Field, ref string, plaintext []byte) ([]byte, error) {
	ct, err := k.aead.Encrypt(plaintext, aad(k.vendor, string(field), ref))
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", field, err)
	}
	return ct, nil
}

// Decrypt opens what Encrypt sealed for the same place.
//
// Errors: crypt.cannot_open.
func (k *VendorKeys) Decrypt(field Field, ref string, ciphertext []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(ciphertext, aad(k.vendor, string(field), ref))
	if err != nil {
		return nil, ErrOpen.With(err)
	}
	return plain, nil
}

// Index returns the blind index of an identity: 32 bytes, the same for the same text,
// telling nothing to who has not the key. Give it the canonical text of
// contact.Identity, so that one person has one index however Meta names them.
func (k *VendorKeys) Index(identity string) ([]byte, error) {
	sum, err := k.index.ComputePrimaryPRF([]byte(identity), IndexSize)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return sum, nil
}
