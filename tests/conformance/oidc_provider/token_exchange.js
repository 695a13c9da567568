// RFC 8693 for oidc-provider, which has no such grant of its own: an access token of any client, for one resource.
import { errors } from 'oidc-provider';

export const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const PARAMETERS = ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope'];

const now = () => Math.floor(Date.now() / 1000);

export function addTokenExchange(provider, resourceServer) {
  provider.registerGrantType(GRANT_TYPE, (ctx) => exchange(provider, resourceServer, ctx), PARAMETERS);
}

async function exchange(provider, resourceServer, ctx) {
  const { client, params } = ctx.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('subject_token_type');

  const subject = await provider.AccessToken.find(params.subject_token);
  if (!subject?.isValid) throw new errors.InvalidGrant('the subject token is not active');
  const grant = await provider.Grant.find(subject.grantId);
  if (!grant || grant.accountId !== subject.accountId) throw new errors.InvalidGrant('the grant has ended');

  const scope = (params.scope ?? '').split(' ').filter(Boolean);
  if (!scope.length || !scope.every((wanted) => subject.scopes.has(wanted))) throw new errors.InvalidScope('scope', params.scope);

  const token = new provider.AccessToken({
    accountId: subject.accountId,
    client,
    grantId: subject.grantId,
    gty: 'token_exchange',
    scope: scope.join(' '),
    sessionUid: subject.sessionUid,
    sid: subject.sid,
    // A derived token never outlives its subject.
    expiresIn: Math.max(1, subject.exp - now()),
  });
  token.resourceServer = new provider.ResourceServer(params.resource, resourceServer(ctx, params.resource, client));
  token.extra = subject.extra;
  ctx.oidc.entity('AccessToken', token);

  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: token.scope,
  };
}
