package temporalx

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/kloyst/kloyst-core/internal/config"
)

const (
	metadataEncoding  = "encoding"
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
)

// Codec seals whole payloads with AES-256-GCM. The key id travels in the payload's
// metadata, so histories written under an older key stay readable while it is kept.
type Codec struct {
	encodeID string
	aeads    map[string]cipher.AEAD
}

// NewCodec makes a codec: the first key encodes, every key decodes.
func NewCodec(keys []config.CodecKey) (*Codec, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("payload codec: no key")
	}
	c := &Codec{encodeID: keys[0].ID, aeads: map[string]cipher.AEAD{}}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			return nil, fmt.Errorf("payload codec key %s: %w", k.ID, err)
		}
		if c.aeads[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("payload codec key %s: %w", k.ID, err)
		}
	}
	return c, nil
}

// Encode implements converter.PayloadCodec.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encode payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{
				metadataEncoding: []byte(encodingEncrypted),
				metadataKeyID:    []byte(c.encodeID),
			},
			Data: c.aeads[c.encodeID].Seal(nil, nil, plain, []byte(c.encodeID)), //nolint:gosec // this AEAD draws its nonce itself
		}
	}
	return out, nil
}

// Decode implements converter.PayloadCodec; what is not sealed passes as it is.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[metadataEncoding]) != encodingEncrypted {
			out[i] = p
			continue
		}
		kid := string(p.GetMetadata()[metadataKeyID])
		aead, ok := c.aeads[kid]
		if !ok {
			return nil, fmt.Errorf("decode payload: no key %q", kid)
		}
		plain, err := aead.Open(nil, nil, p.GetData(), []byte(kid))
		if err != nil {
			return nil, fmt.Errorf("decode payload: %w", err)
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, fmt.Errorf("decode payload: %w", err)
		}
	}
	return out, nil
}

// DataConverter is what every client, worker and replayer must use.
func (c *Codec) DataConverter() converter.DataConverter {
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)
}
