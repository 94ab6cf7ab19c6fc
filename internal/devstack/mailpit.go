package devstack

import (
	"context"
	"path/filepath"
)

// mailpit catches all mail: SMTP in, JSON out. Built from its module it has no web page.
func (s *Stack) mailpit() *service {
	return &service{
		name: Mailpit, ports: []string{Mailpit, mailHTTP},
		command: func() (command, error) {
			bin, err := program(Mailpit, "", filepath.Join(s.opts.BinDir, "mailpit"))
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Mailpit, nil)
			if err != nil {
				return command{}, err
			}
			return command{path: bin, dir: data, args: []string{
				"--smtp", loopback(s.state.Ports[Mailpit]), "--listen", loopback(s.state.Ports[mailHTTP]),
				"--database", filepath.Join(data, "mail.db"), "--max", "5000",
				"--disable-version-check", "--smtp-disable-rdns", "--quiet",
			}}, nil
		},
		probe: func(ctx context.Context) error {
			return getOK(ctx, "http://"+loopback(s.state.Ports[mailHTTP])+"/readyz")
		},
	}
}
