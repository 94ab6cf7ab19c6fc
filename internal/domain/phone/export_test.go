package phone

// Quick and ByLibrary are the two ways Parse goes, for the test that compares them.
func Quick(raw, region string) (Number, bool) { return quick(raw, region) }

func ByLibrary(raw, region string) (Number, error) { return parse(raw, region) }
