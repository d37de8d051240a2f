module github.com/gocinder/cinderlib/tools/docgen

go 1.26.0

require (
	github.com/gocinder/cinderlib v0.0.0-00010101000000-000000000000
	golang.org/x/tools v0.52.0
)

require (
	github.com/ebitengine/purego v0.11.3 // indirect
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace github.com/gocinder/cinderlib => ../../
