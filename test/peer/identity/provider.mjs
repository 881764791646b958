// An OpenID provider on loopback whose access tokens are for MCP servers (RFC 8707). Environment: LISTEN, HOST:PORT.
//
// robot, late and mute may have tokens by their own credentials, and gateway may ask about any token. What late gets has expired
// an hour ago, what mute gets has no scope. Everybody may register a client; users log in with any name, and what a client asks for
// is granted. A resource whose address ends in /opaque gets tokens that say nothing by themselves.
import Provider from 'oidc-provider';

const issuer = `http://${process.env.LISTEN}`;
const [host, port] = process.env.LISTEN.split(':');
const machine = (name) => ({
  client_id: name, client_secret: `secret of ${name}`, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
});

const provider = new Provider(issuer, {
  clients: [machine('robot'), machine('late'), machine('mute'), machine('gateway')],
  clientDefaults: { id_token_signed_response_alg: 'RS256' },
  cookies: { keys: ['of a test'] },
  scopes: ['openid', 'offline_access', 'mcp:*', 'mcp:tools/list'],
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  formats: {
    customizers: {
      jwt(_, token, jwt) {
        jwt.payload.sub ??= token.clientId;
        if (token.clientId === 'late') jwt.payload.exp = Math.floor(Date.now() / 1000) - 3600;
        if (token.clientId === 'mute') delete jwt.payload.scope;
      },
    },
  },
  ttl: { ClientCredentials: 600, AccessToken: 600, Interaction: 600, Session: 600, Grant: 600, IdToken: 600, RefreshToken: 600 },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'mcp:* mcp:tools/list', audience: resource, accessTokenFormat: resource.endsWith('/opaque') ? 'opaque' : 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(Number(port), host);
