package gateway

import "github.com/headgate/headgate/router/model"

// modelEntries are the models of a generation.
func (n *generation) modelEntries() []model.Entry { return nil }
