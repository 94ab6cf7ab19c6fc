package devstack

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the unprivileged user that PostgreSQL runs as when we are root.
type account struct{ uid, gid int }

// unprivileged returns the account to run PostgreSQL as: nil when we are not root ourselves, else
// the Debian package's user, else nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil // no other account is needed: that is an answer
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{uid: uid, gid: gid}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // from /etc/passwd
}

// canEnter reports whether the account may pass through every folder down to and including dir.
func (a *account) canEnter(dir string) bool {
	if a == nil {
		return true
	}
	for at := dir; ; at = filepath.Dir(at) {
		fi, err := os.Stat(at)
		if err != nil {
			return false
		}
		mode := fi.Mode().Perm()
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		switch {
		case int(st.Uid) == a.uid:
			mode >>= 6
		case int(st.Gid) == a.gid:
			mode >>= 3
		}
		if mode&1 == 0 {
			return false
		}
		if at == filepath.Dir(at) {
			return true
		}
	}
}

// dataDir returns the folder of a service's data, made and owned as needed. Below a folder that the
// account cannot enter (root's home, a private temporary clone) it lies under the system's
// temporary directory instead: we never change the mode of a folder that is not ours.
func (s *Stack) dataDir(name string, a *account) (string, error) {
	s.mu.Lock()
	dir, known := s.state.DataDirs[name]
	s.mu.Unlock()
	if known {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			known = false // a cleaned temporary directory
		}
	}
	if !known {
		parent := filepath.Join(s.opts.Dir, "data")
		if !a.canEnter(parent) {
			var err error
			if parent, err = s.outsideDir(a); err != nil {
				return "", err
			}
		}
		dir = filepath.Join(parent, name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if a != nil {
		if err := os.Chown(dir, a.uid, a.gid); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.DataDirs[name] = dir
	return dir, s.state.save()
}

// Folders outside a stack's own begin with outsidePrefix and name their stack in ownerFile.
const (
	outsidePrefix = "kloyst-stack-"
	ownerFile     = "stack"
)

// outsideDirs are where such folders may lie.
func outsideDirs() []string { return []string{os.TempDir(), "/var/tmp", "/tmp"} }

// sweepOutside removes the outside folders of stacks whose own folder is gone: a deleted checkout
// or temporary directory.
func sweepOutside() {
	for _, tmp := range outsideDirs() {
		found, _ := filepath.Glob(filepath.Join(tmp, outsidePrefix+"*")) // the pattern is valid
		for _, dir := range found {
			fi, err := os.Lstat(dir)
			if err != nil || !fi.IsDir() {
				continue
			}
			st, ok := fi.Sys().(*syscall.Stat_t)
			owner, err := os.ReadFile(filepath.Join(dir, ownerFile))
			if err != nil || !ok || int(st.Uid) != os.Geteuid() {
				continue
			}
			if _, err := os.Stat(string(owner)); errors.Is(err, fs.ErrNotExist) {
				_ = os.RemoveAll(dir)
			}
		}
	}
}

// outsideDir makes this stack's folder under the system's temporary directory. Its name follows
// from the stack's folder, and its owner is checked, since anyone may write there.
func (s *Stack) outsideDir(a *account) (string, error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.opts.Dir))
	for _, tmp := range outsideDirs() {
		if !a.canEnter(tmp) {
			continue
		}
		dir := filepath.Join(tmp, fmt.Sprintf("%s%x", outsidePrefix, h.Sum64()))
		if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("data folder: %w", err)
		}
		fi, err := os.Lstat(dir)
		if err != nil {
			return "", fmt.Errorf("data folder: %w", err)
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok || !fi.IsDir() || int(st.Uid) != os.Geteuid() {
			return "", fmt.Errorf("data folder: %s belongs to another user: remove it", dir)
		}
		if err := os.Chmod(dir, 0o711); err != nil { // past the umask, on a folder of our own
			return "", fmt.Errorf("data folder: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte(s.opts.Dir), 0o600); err != nil {
			return "", fmt.Errorf("data folder: %w", err)
		}
		return dir, nil
	}
	return "", errors.New("no temporary directory that PostgreSQL's user can enter: set TMPDIR to one")
}
