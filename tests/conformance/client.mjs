// Goes through the authorization server with oauth4webapi, a strict client that is not ours.
//
// Told by CONFORMANCE, JSON: issuer, redirectUri, resource, audience, broker {clientId, jwk}. Says `open <URL>` on standard
// output when a user has to go there, and reads from standard input where their browser ended. Says `ok <what>` for
// everything that worked, `absent <what>` for what the server does not offer; any error ends it.
import { createInterface } from "node:readline/promises";
import { stdin, env } from "node:process";
import * as oauth from "oauth4webapi";

const told = JSON.parse(env.CONFORMANCE);
const insecure = { [oauth.allowInsecureRequests]: true };
const lines = createInterface({ input: stdin })[Symbol.asyncIterator]();
const say = (word, what) => process.stdout.write(`${word} ${what}\n`);

function expect(condition, what) {
  if (!condition) throw new Error(`not so: ${what}`);
}

async function browse(url) {
  say("open", url);
  return new URL((await lines.next()).value);
}

async function discover() {
  const issuer = new URL(told.issuer);
  for (const algorithm of ["oauth2", "oidc"]) {
    const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
    const as = await oauth.processDiscoveryResponse(issuer, response);
    say("ok", `discovery ${algorithm}`);
    if (algorithm === "oidc") return as;
  }
}

async function register(as) {
  const metadata = { client_name: "oauth4webapi", redirect_uris: [told.redirectUri], token_endpoint_auth_method: "none" };
  const response = await oauth.dynamicClientRegistrationRequest(as, metadata, insecure);
  const client = await oauth.processDynamicClientRegistrationResponse(response);
  say("ok", "registration");
  return client;
}

async function push(as, client, parameters) {
  if (!as.pushed_authorization_request_endpoint) {
    say("absent", "PAR");
    return parameters;
  }
  const response = await oauth.pushedAuthorizationRequest(as, client, oauth.None(), parameters, insecure);
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response);
  say("ok", "PAR");
  return { client_id: client.client_id, request_uri };
}

async function dpop(as, client) {
  if (!as.dpop_signing_alg_values_supported) {
    say("absent", "DPoP");
    return undefined;
  }
  return oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
}

async function authorize(as, client, { proof } = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = await push(as, client, {
    client_id: client.client_id,
    redirect_uri: told.redirectUri,
    response_type: "code",
    scope: "stocks/read",
    resource: told.resource,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
  });
  const url = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const callback = oauth.validateAuthResponse(as, client, await browse(url), state);
  const options = { additionalParameters: { resource: told.resource }, DPoP: proof, ...insecure };
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, oauth.None(), callback, told.redirectUri, verifier, options,
  );
  return oauth.processAuthorizationCodeResponse(as, client, response);
}

async function broker() {
  const { jwk, clientId } = told.broker;
  const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  return [{ client_id: clientId }, oauth.PrivateKeyJwt({ key, kid: jwk.kid })];
}

async function introspect(as, token) {
  const [client, authentication] = await broker();
  const json = await oauth.introspectionRequest(as, client, authentication, token, insecure);
  const plain = await oauth.processIntrospectionResponse(as, client, json);
  const signedClient = { ...client, introspection_signed_response_alg: "ES256" };
  const options = { requestJwtResponse: true, ...insecure };
  const jwt = await oauth.introspectionRequest(as, signedClient, authentication, token, options);
  const signed = await oauth.processIntrospectionResponse(as, signedClient, jwt);
  await oauth.validateApplicationLevelSignature(as, jwt, insecure);
  expect(plain.active === signed.active && plain.jti === signed.jti, "JSON and JWT say the same");
  return plain;
}

async function exchange(as, token) {
  const [client, authentication] = await broker();
  const parameters = {
    subject_token: token,
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    audience: told.audience,
  };
  const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
  const response = await oauth.genericTokenEndpointRequest(as, client, authentication, grant, parameters, insecure);
  const answer = await oauth.processGenericTokenEndpointResponse(as, client, response);
  const request = new Request(`${told.audience}/stocks`, { headers: { authorization: `Bearer ${answer.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(as, request, told.audience, insecure);
  expect(claims.act.sub === client.client_id, "act names who exchanged");
  say("ok", "exchange for a token of RFC 9068");
}

async function revoke(as, client, token) {
  if (!as.revocation_endpoint) return say("absent", "revocation");
  const response = await oauth.revocationRequest(as, client, oauth.None(), token, insecure);
  await oauth.processRevocationResponse(response);
  expect((await introspect(as, token)).active === false, "a revoked token is inactive");
  say("ok", "revocation");
}

const as = await discover();
const client = await register(as);
const { access_token: token, token_type: type } = await authorize(as, client);
expect(type === "bearer", "the token is a bearer token");
say("ok", "code flow with iss");
const claims = await introspect(as, token);
expect(claims.active && claims.aud === told.resource && claims.client_id === client.client_id, "the token is the user's");
say("ok", "introspection in JSON and RFC 9701");
await exchange(as, token);
await revoke(as, client, token);
const proof = await dpop(as, client);
if (proof) {
  const bound = await authorize(as, client, { proof });
  expect(bound.token_type === "dpop", "the token is bound to a key");
  say("ok", "DPoP");
}
say("done", "all");
process.exit(0);
