package vendor

// Valid tells whether r is a role we know.
func (r Role) Valid() bool { return r.rank() > 0 }

// AtLeast tells whether r may do whatever least may. An unknown role may do nothing.
func (r Role) AtLeast(least Role) bool { return r.Valid() && r.rank() >= least.rank() }

// rank orders the roles: 0 is no role.
func (r Role) rank() int {
	switch r {
	case Member:
		return 1
	case Admin:
		return 2
	case Owner:
		return 3
	}
	return 0
}
