// The front door's check of Meta's webhooks: HMAC-SHA256 of the raw body under the app secret. It
// is a cheap shield; the webhook mode verifies again and has the last word.
//
// Written for njs 0.7.9 (Debian 12): it has no for...of and no timingSafeEqual.

import crypto from 'crypto';

const HEADER = 'X-Hub-Signature-256';
const PREFIX = 'sha256=';

function problem(r, status, code, title) {
    r.headersOut['Content-Type'] = 'application/problem+json';
    r.return(status, JSON.stringify({
        type: 'urn:kloyst:problem:' + code, title: title, status: status, code: code, retryable: false,
    }));
}

// sameHex compares in a time that depends on the length of the strings only.
function sameHex(a, b) {
    if (a.length !== b.length) {
        return false;
    }
    let diff = 0;
    for (let i = 0; i < a.length; i++) {
        diff |= a.charCodeAt(i) ^ b.charCodeAt(i);
    }
    return diff === 0;
}

// signed tells whether the signature is right under any of the secrets: two are valid while one is
// rotated out. It always tries them all.
function signed(body, given) {
    const secrets = webhook_secrets; // preloaded by nginx.conf, read once per reload
    let ok = false;
    for (let i = 0; i < secrets.length; i++) {
        const want = crypto.createHmac('sha256', secrets[i]).update(body).digest('hex');
        ok = sameHex(want, given) || ok;
    }
    return ok;
}

function verify(r) {
    if (r.method === 'GET') { // Meta's handshake carries a token, not a signature
        r.internalRedirect('@webhook');
        return;
    }
    if (r.method !== 'POST') {
        problem(r, 405, 'webhook.method', 'Method Not Allowed');
        return;
    }
    let body;
    try {
        body = r.requestBuffer;
    } catch (e) { // it did not fit the buffer; nginx.conf keeps limit and buffer equal
        problem(r, 413, 'webhook.too_large', 'Request Entity Too Large');
        return;
    }
    const given = r.headersIn[HEADER] || '';
    if (!body || body.length === 0 || !given.startsWith(PREFIX) || !signed(body, given.slice(PREFIX.length))) {
        problem(r, 401, 'webhook.bad_signature', 'Unauthorized');
        return;
    }
    r.internalRedirect('@webhook'); // with the body, byte for byte
}

export default { verify };
