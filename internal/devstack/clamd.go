package devstack

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// machineSignatures is where Debian's freshclam keeps ClamAV's databases.
const machineSignatures = "/var/lib/clamav"

// clamd scans uploads. Its limits are above the product's upload limit of 100 MiB: what clamd
// does not read to the end it would call clean, so it is told to report that, too.
func (s *Stack) clamd() *service {
	dir := filepath.Join(s.opts.Dir, "conf", "clamd")
	return &service{
		name: Clamd, within: 5 * time.Minute, // loading ClamAV's whole database takes up to a minute
		command: func() (command, error) {
			bin, err := program(Clamd, "clamav-daemon", "/usr/sbin/clamd", "/usr/local/sbin/clamd")
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Clamd, nil)
			if err != nil {
				return command{}, err
			}
			conf := filepath.Join(dir, "clamd.conf")
			return command{path: bin, dir: data, args: []string{"--config-file=" + conf}}, s.writeClamd(conf, data)
		},
		probe: func(ctx context.Context) error {
			return dialog(ctx, loopback(s.state.Ports[Clamd]), "nPING\n", "PONG")
		},
	}
}

func (s *Stack) writeClamd(conf, data string) error {
	signatures, tmp := filepath.Join(data, "signatures"), filepath.Join(data, "tmp")
	if err := os.RemoveAll(signatures); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	for _, d := range []string{filepath.Dir(conf), signatures, tmp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("clamd: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(signatures, "eicar.ndb"), []byte(eicarSignature()), 0o644); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	if !s.opts.Throwaway { // tests need no more, and the full database a minute and 1.3 GB
		if err := linkSignatures(signatures); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(`Foreground yes
LogTime yes
TCPAddr 127.0.0.1
TCPSocket %d
DatabaseDirectory %s
TemporaryDirectory %s
StreamMaxLength 128M
MaxFileSize 128M
MaxScanSize 512M
AlertExceedsMax yes
MaxThreads 4
ConcurrentDatabaseReload no
`, s.state.Ports[Clamd], signatures, tmp)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return fmt.Errorf("clamd: %w", err)
	}
	return nil
}

// linkSignatures makes the machine's databases, where it has any, available beside our own
// signature. They stay the machine's: its freshclam keeps them fresh.
func linkSignatures(dir string) error {
	for _, pattern := range []string{"*.cvd", "*.cld"} {
		found, err := filepath.Glob(filepath.Join(machineSignatures, pattern))
		if err != nil {
			return fmt.Errorf("clamd: %w", err)
		}
		for _, path := range found {
			if err := os.Symlink(path, filepath.Join(dir, filepath.Base(path))); err != nil {
				return fmt.Errorf("clamd: %w", err)
			}
		}
	}
	return nil
}

// eicarSignature finds the EICAR anti-virus test string anywhere in any file, so also in a cell of
// a spreadsheet. ClamAV's own signature wants it at the file's start. The string is put together
// here so that this source is not taken for a virus itself.
// Source: EICAR, "Anti-malware test file", read 2026-09; ClamAV manual, "Body-based signatures".
func eicarSignature() string {
	eicar := `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR-STANDARD-" + `ANTIVIRUS-TEST-FILE!$H+H*`
	return "Kloyst.Test.EICAR:0:*:" + hex.EncodeToString([]byte(eicar)) + "\n"
}
