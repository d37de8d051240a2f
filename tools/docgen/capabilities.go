// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/packages"
)

const driversPath = "github.com/gocinder/cinderlib/drivers"

// capability is an optional interface of drivers.
type capability struct {
	field string // of drivers.Capabilities
	iface string
	doc   string // the first sentence about the interface
}

// facts are what the source says of the drivers.
type facts struct {
	capabilities []capability
	folder       map[string]string          // of a driver, by its name
	has          map[string]map[string]bool // driver, then interface
}

// inspect reads the packages below drivers.
func inspect(root string) (*facts, error) {
	list, err := packages.Load(&packages.Config{
		Dir: root,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax | packages.NeedImports |
			packages.NeedTypes | packages.NeedTypesInfo | packages.NeedExportFile,
	}, driversPath, driversPath+"/...")
	if err != nil {
		return nil, err
	}
	f := &facts{folder: map[string]string{}, has: map[string]map[string]bool{}}
	for _, p := range list {
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
		if p.PkgPath == driversPath {
			f.capabilities = capabilities(p)
		}
	}
	if len(f.capabilities) == 0 {
		return nil, errors.New("CapabilitiesOf asks for no interface")
	}
	for _, p := range list {
		if err := f.driver(p); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// capabilities reads what CapabilitiesOf asks for: _, c.FIELD = d.(INTERFACE).
func capabilities(p *packages.Package) []capability {
	var list []capability
	docs := map[string]string{}
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				for _, s := range n.Specs {
					if t, ok := s.(*ast.TypeSpec); ok && n.Doc != nil {
						docs[t.Name.Name] = n.Doc.Text()
					}
				}
			case *ast.AssignStmt:
				if c, ok := asked(n); ok {
					list = append(list, c)
				}
			}
			return true
		})
	}
	for i, c := range list {
		list[i].doc = sentence(docs[c.iface])
	}
	return list
}

func asked(n *ast.AssignStmt) (capability, bool) {
	if len(n.Lhs) != 2 || len(n.Rhs) != 1 {
		return capability{}, false
	}
	field, ok := n.Lhs[1].(*ast.SelectorExpr)
	is, ok2 := n.Rhs[0].(*ast.TypeAssertExpr)
	if !ok || !ok2 {
		return capability{}, false
	}
	name, ok := is.Type.(*ast.Ident)
	if !ok {
		return capability{}, false
	}
	return capability{field: field.Sel.Name, iface: name.Name}, true
}

// sentence is the first sentence of a comment, in one line.
func sentence(doc string) string {
	text := strings.Join(strings.Fields(doc), " ")
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".") + "."
}

// driver notes the drivers that a package registers, and what its type Driver
// implements.
func (f *facts) driver(p *packages.Package) error {
	names, err := registers(p)
	if err != nil || len(names) == 0 {
		return err
	}
	object := p.Types.Scope().Lookup("Driver")
	if object == nil {
		return fmt.Errorf("%s registers a driver and has no type Driver", p.PkgPath)
	}
	pointer := types.NewPointer(object.Type())
	contract := imported(p.Types, driversPath)
	has := map[string]bool{}
	for _, c := range f.capabilities {
		iface, ok := contract.Scope().Lookup(c.iface).Type().Underlying().(*types.Interface)
		if !ok {
			return fmt.Errorf("drivers.%s is no interface", c.iface)
		}
		has[c.iface] = types.Implements(pointer, iface)
	}
	for _, name := range names {
		f.folder[name] = strings.TrimPrefix(p.PkgPath, driversPath+"/")
		f.has[name] = has
	}
	return nil
}

func imported(p *types.Package, path string) *types.Package {
	for _, i := range p.Imports() {
		if i.Path() == path {
			return i
		}
	}
	return nil
}

// registers gives the names under which a package calls drivers.Register.
func registers(p *packages.Package) ([]string, error) {
	var names []string
	var err error
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !isRegister(p, call.Fun) {
				return true
			}
			value := p.TypesInfo.Types[call.Args[0]].Value
			if value == nil || value.Kind() != constant.String {
				err = fmt.Errorf("%s: the name of a driver must be a constant", p.Fset.Position(call.Pos()))
				return false
			}
			names = append(names, constant.StringVal(value))
			return true
		})
	}
	return names, err
}

func isRegister(p *packages.Package, callee ast.Expr) bool {
	if index, ok := callee.(*ast.IndexExpr); ok {
		callee = index.X
	}
	s, ok := callee.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	o := p.TypesInfo.Uses[s.Sel]
	return o != nil && o.Pkg() != nil && o.Pkg().Path() == driversPath && o.Name() == "Register"
}
