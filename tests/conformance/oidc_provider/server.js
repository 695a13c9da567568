// An authorization server for a test: oidc-provider on loopback. Its configuration is one JSON argument.
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';
import { addTokenExchange, GRANT_TYPE } from './token_exchange.js';

const { issuer, port, mcp, api, scope, redirectUri, agent, broker, brokerJwk, signingJwk, regions } = JSON.parse(process.argv[2]);

// The agent's token is opaque; what the broker gets for the same resource, or for the API, is a JWT.
function resourceServer(_ctx, resource, client) {
  const ofBroker = client.clientId === broker;
  if (resource !== mcp && !(ofBroker && resource === api)) throw new errors.InvalidTarget();
  return {
    audience: resource,
    scope,
    accessTokenTTL: 300,
    accessTokenFormat: ofBroker ? 'jwt' : 'opaque',
    jwt: { sign: { alg: 'ES256' } },
  };
}

const provider = new Provider(issuer, {
  jwks: { keys: [signingJwk] },
  clients: [
    {
      client_id: agent,
      // Only native clients may come back to any port of the loopback interface (RFC 8252 §7.3).
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code'],
    },
    {
      client_id: broker,
      token_endpoint_auth_method: 'private_key_jwt',
      redirect_uris: [],
      response_types: [],
      grant_types: [GRANT_TYPE],
      jwks: { keys: [brokerJwk] },
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256' },
  enabledJWA: {
    clientAuthSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['ES256'],
    introspectionSigningAlgValues: ['ES256'],
  },
  scopes: [scope],
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === broker },
    jwtIntrospection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => mcp,
      getResourceServerInfo: resourceServer,
      useGrantedResource: () => true,
    },
    revocation: { enabled: true, allowedPolicy: () => true },
  },
  // Revoking one token ends what the user delegated, and with it every token of the grant.
  revokeGrantPolicy: () => true,
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_ctx, token) => ({
    grant_id: token.grantId,
    region: regions[token.accountId],
    client_type: 'mcp',
    client_assurance_level: 1,
  }),
  cookies: { keys: ['only for a test'] },
  ttl: { AccessToken: 300, Grant: 3600, Interaction: 300, Session: 3600 },
});
addTokenExchange(provider, resourceServer);
provider.on('server_error', (_ctx, error) => console.error(error));

createServer(provider.callback()).listen(port, '127.0.0.1', () => console.log('listening'));
