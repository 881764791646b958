package config

// Admin is the listener for operators: health, and the API through which they see what the gateway does.
type Admin struct {
	// Where the operators' listener is: HOST:PORT. Without a token only a loopback address is accepted.
	Listen string `yaml:"listen" check:"address"`
	// What operators have to show as a bearer token, for everything but /healthz and /readyz: at least 16 characters. A value file:PATH is
	// read from that file. Without it whoever has an account on this machine is an operator.
	Token Secret `yaml:"token" check:"api key" secret:"file,required"`
}
