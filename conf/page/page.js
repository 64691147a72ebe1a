// SPDX-License-Identifier: Apache-2.0
//
// The status is asked every two seconds, and with a token the management API
// at /v1 of this origin. Whatever comes is text, never markup.
'use strict';

const EVERY_MS = 2000;
const PAGE = 25;
const TOKEN = 'opensandbox-token';
const API = '/v1';

const ADVICE = {
  bad_route: 'The address holds no id and port. Look at the link that was given out.',
  unauthorized: 'A token, link or cookie is wrong, missing or over. Give out a new link.',
  not_exposed: 'Add the port to the record\u2019s "expose".',
  not_found: 'No such sandbox: it has ended, or whatever feeds the gateway has not told of it.',
  expired: 'The record\u2019s "expiresAt" is over. Set a later one, or start a new sandbox.',
  ambiguous: 'Two objects claim one id. Remove one, or give it another id.',
  paused: 'Resume the sandbox, or set opensandbox_wake.',
  not_ready: 'The sandbox is starting. If it stays so, look at its own log.',
  no_keys: 'Signed links need opensandbox_access_keys.',
  unresolved: 'The endpoint is a name that does not resolve. Look at "resolver" and at the record.',
  refused: 'Nothing listens on the port. The program must listen on 0.0.0.0, not on localhost alone.',
  unreachable: 'No route to the endpoint. Look at the record\u2019s address and at the firewall.',
  dropped: 'The program closed the connection before it answered: look whether it crashed.',
  bad_answer: 'No HTTP came back: look whether the port speaks TLS, or something else.',
  slow: 'Longer than proxy_read_timeout. Look at the program, or raise it.',
};

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

let token = null; // null: not asked for yet
let shownToken = 0; // which answers are still wanted
const trail = []; // ids behind which earlier pages began
let after = '';
let next = '';
let samples = []; // of the status, of a minute
let seen = new Map(); // id to {requests, time}
const allowed = new Set();
let down = false; // the problem is the gateway's, and may end by itself

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function say(at, text) {
  if (at.textContent !== text) at.textContent = text;
}

function problem(text) {
  say($('problem'), text);
  $('problem').hidden = !text;
}

// A button that is off keeps the focus, which "disabled" takes away.
function enable(button, can) {
  button.setAttribute('aria-disabled', String(!can));
}

function press(button, action) {
  button.addEventListener('click', () => {
    if (button.getAttribute('aria-disabled') !== 'true') action();
  });
}

// Rows that are there already keep their elements, and what is selected in
// them. A cell is [text, class, name]; the first one heads its row.
function fill(body, rows) {
  const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const list = rows.map(({ key, cells }) => {
    const row = old.get(key) || make('tr');
    row.dataset.key = key;
    cells.forEach(([text, className, name], i) => {
      if (!row.children[i]) row.append(make(i ? 'td' : 'th'));
      const at = row.children[i];
      say(at, text);
      at.className = className || '';
      if (name) at.dataset.name = name;
      if (!i) at.scope = 'row';
    });
    return row;
  });
  if (list.length !== body.children.length
    || list.some((row, i) => row !== body.children[i])) body.replaceChildren(...list);
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// An answer of the management API as JSON.
async function call(method, path, body, headers = {}) {
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(API + path, {
    method, headers, body: body && JSON.stringify(body), cache: 'no-store',
    credentials: 'same-origin',
  });
  let value = null;
  try {
    value = await answer.json();
  } catch (e) { /* judged below */ }
  if (!answer.ok || value === null)
    throw new Refused(answer.status, value && value.message ? value.message
      : `${method} ${API}${path} was answered with ${answer.status}`);
  value.etag = answer.headers.get('ETag');
  return value;
}

// The numbers.

function bytes(n) {
  return n < 1 << 20 ? `${Math.round(n / 1024)} KB`
    : `${(n / (1 << 20)).toFixed(1)} MB`;
}

function failures(status) {
  const kinds = {};
  for (const mode of Object.values(status.requests))
    for (const [kind, n] of Object.entries(mode))
      kinds[kind] = (kinds[kind] || 0) + n;
  return kinds;
}

const sum = (kinds) => Object.values(kinds).reduce((a, b) => a + b, 0);

function rate(n) {
  return n >= 10 ? number.format(Math.round(n)) : n.toFixed(1);
}

function showStatus(status) {
  const kinds = failures(status);
  const now = { time: performance.now(), kinds, all: sum(kinds) };

  // A counter that has shrunk is a gateway that was started anew.
  if (samples.length && samples[samples.length - 1].all > now.all) samples = [];
  samples.push(now);
  samples = samples.filter((s) => now.time - s.time <= 60000);
  const last = samples[Math.max(0, samples.length - 2)];
  const first = samples[0];

  $('about').textContent = `version ${status.version}`;
  $('total').textContent = number.format(status.sandboxes.total);
  $('ready').textContent = number.format(status.sandboxes.ready);
  $('tunnels').textContent = number.format(status.tunnels.open);
  $('rate').textContent = now === last ? '–'
    : rate((now.all - last.all) * 1000 / (now.time - last.time));
  const wrong = (s) => s.all - (s.kinds.ok || 0);
  $('errors').textContent = number.format(wrong(now) - wrong(first));
  $('zone').value = status.zone.used / status.zone.bytes;
  $('zone-text').textContent = `${bytes(status.zone.used)} of `
    + `${bytes(status.zone.bytes)}`;
  $('zone-label').textContent = `Zone ${status.zone.name}`;

  const rows = Object.keys(kinds).filter((k) => k !== 'ok' && kinds[k] > 0)
    .sort((a, b) => kinds[b] - kinds[a]).map((kind) => ({
      key: kind,
      cells: [[kind], [number.format(kinds[kind]), 'n', 'in all'],
        [number.format(kinds[kind] - (first.kinds[kind] || 0)), 'n', 'last minute'],
        [ADVICE[kind] || '', 'all']],
    }));
  fill($('kinds'), rows);
  $('kinds-table').hidden = rows.length === 0;
  $('kinds-none').hidden = rows.length > 0;
}

// The sandboxes.

function state(record) {
  if (record.expiresAt && Date.parse(record.expiresAt) <= Date.now())
    return ['expired', 'bad'];
  if (record.state === 'ambiguous') return ['ambiguous', 'bad'];
  if (record.state === 'paused') return ['paused', 'warn'];
  return record.ready === false ? ['not ready', 'warn'] : ['ready', 'good'];
}

function ports(record) {
  if (!record.expose) return 'all';
  return record.expose.join(', ') || 'none';
}

function sandboxRow(record, time) {
  const [word, kind] = state(record);
  const before = seen.get(record.id);
  const live = record.live;
  let each = '–';
  if (before && live.requests >= before.requests)
    each = rate((live.requests - before.requests) * 1000 / (time - before.time));
  return {
    key: record.id,
    cells: [[record.id, 'id'], [word, `state ${kind}`], [record.source || '', '', 'from'],
      [record.endpoint || '–', 'mono'], [ports(record), '', 'ports'],
      [number.format(live.tunnels), 'n', 'tunnels'], [each, 'n', 'requests/s']],
  };
}

async function showSandboxes() {
  const mine = shownToken;
  const query = new URLSearchParams({ live: '1', limit: PAGE });
  const q = $('q').value.trim();
  if (q) query.set('q', q);
  if (after) query.set('after', after);
  const list = await call('GET', `/sandboxes?${query}`);
  if (mine !== shownToken) return;
  const time = performance.now();
  const rows = list.sandboxes.map((record) => sandboxRow(record, time));
  seen = new Map(list.sandboxes.map((r) => [r.id, { requests: r.live.requests, time }]));
  fill($('rows'), rows);
  say($('rows-none'), q ? `No id has "${q}" in it.` : 'There is no sandbox yet.');
  $('rows-none').hidden = rows.length > 0;
  $('rows-table').hidden = rows.length === 0;
  next = list.next || '';
  enable($('more'), next);
  enable($('back'), trail.length > 0);
  const shown = list.sandboxes.length
    ? `${number.format(trail.length * PAGE + 1)} to `
      + `${number.format(trail.length * PAGE + list.sandboxes.length)}` : '';
  say($('shown'), shown);
}

// What was denied, and the way to allow it.

async function allow(event) {
  const id = encodeURIComponent(event.sandboxId);

  for (let tries = 0; tries < 5; tries++) {
    const record = await call('GET', `/sandboxes/${id}`);
    const own = record.source && record.source !== 'include' ? record.source : 'api';
    const policy = record.policy || {};
    const rules = (policy.egress || []).filter((rule) =>
      String(rule.target || '').toLowerCase() !== event.hostname.toLowerCase());
    const egress = [{ action: 'allow', target: event.hostname }, ...rules];
    try {
      await call('PATCH', `/sandboxes/${id}?source=${encodeURIComponent(own)}`,
        { policy: { ...policy, egress } },
        record.etag ? { 'If-Match': record.etag } : {});
      return;
    } catch (e) {
      if (e.status !== 412) throw e; // somebody else changed it: once more
    }
  }
  throw new Error('the record keeps changing');
}

// A sandbox may ask for any name, "*.com" and "10.0.0.0/8" too, which in a rule
// mean more than themselves.
const PLAIN = /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:]+(?:\.[0-9]+)*)\.?$/i;

function deniedItem(event) {
  const key = `${event.sandboxId} ${event.hostname}`;
  const item = make('li');
  const button = make('button', 'Allow');
  item.dataset.key = key;
  item.append(make('span', event.hostname, 'id'),
    make('span', `in ${event.sandboxId || 'a sandbox without an id'}`, ''),
    make('span', '', 'quiet count'));
  button.type = 'button';
  button.className = 'act';
  const done = (is) => {
    enable(button, !is);
    say(button, is ? 'Allowed' : 'Allow');
    button.setAttribute('aria-label',
      `${button.textContent} ${event.hostname} in ${event.sandboxId}`);
  };
  done(allowed.has(key));
  press(button, async () => {
    enable(button, false);
    try {
      await allow(event);
      allowed.add(key);
      done(true);
      $('said').textContent = `${event.hostname} is allowed in ${event.sandboxId}. `
        + 'A sidecar that follows the gateway\u2019s policy opens it at once.';
    } catch (e) {
      $('said').textContent = `${event.hostname} was not allowed: ${e.message}`;
      enable(button, true);
    }
  });
  if (!PLAIN.test(event.hostname)) item.append(make('span', 'No name that can be allowed here.', 'quiet'));
  else if (event.sandboxId) item.append(button);
  return item;
}

async function showDenied() {
  const mine = shownToken;
  const { events } = await call('GET', '/events?limit=100');
  if (mine !== shownToken) return;
  const list = $('denied');
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = events.map((event) => {
    const item = old.get(`${event.sandboxId} ${event.hostname}`) || deniedItem(event);
    item.querySelector('.count').textContent = `${number.format(event.count)} `
      + `time${event.count === 1 ? '' : 's'}, last at `
      + `${clock.format(new Date(event.last))}`
      + (event.pending ? ', waits for approval' : '');
    return item;
  });
  // Sandboxes choose when they ask, and so what comes first. Whatever is about
  // to be pressed stays where it is, and what is new comes behind it.
  if (list.matches(':hover') || list.contains(document.activeElement))
    list.append(...items.filter((item) => item.parentNode !== list));
  else if (items.length !== list.children.length
    || items.some((item, i) => item !== list.children[i])) list.replaceChildren(...items);
  $('denied-none').hidden = events.length > 0;
  $('denied-all').hidden = events.length === 0;
}

// The token.

function askToken(why) {
  token = null;
  shownToken++;
  sessionStorage.removeItem(TOKEN);
  for (const id of ['rows', 'denied', 'said']) $(id).replaceChildren();
  allowed.clear();
  down = false;
  $('main').hidden = true;
  $('forget').hidden = true;
  $('token-form').hidden = false;
  problem(why);
}

$('token-form').addEventListener('submit', async (e) => {
  e.preventDefault();
  token = $('token').value.trim();
  problem('');
  if (await refresh() && token !== null) {
    sessionStorage.setItem(TOKEN, token);
    $('token').value = '';
    $('main').focus();
  }
});

$('forget').addEventListener('click', () => {
  askToken('');
  $('token').focus();
});

function turn(list) {
  shownToken++;
  if (list === 'more') {
    trail.push(after);
    after = next;
  } else {
    after = trail.pop() || '';
  }
  seen = new Map();
  guarded(showSandboxes);
}

press($('more'), () => turn('more'));
press($('back'), () => turn('back'));
$('search').addEventListener('submit', (e) => e.preventDefault());
$('q').addEventListener('input', () => {
  shownToken++;
  trail.length = 0;
  after = '';
  guarded(showSandboxes);
});

// True if all was well; else the page says what is wrong.
async function guarded(...shows) {
  try {
    for (const show of shows) await show();
    return true;
  } catch (e) {
    if (e.status === 401) {
      askToken('The gateway does not know this token. It is the one of '
        + 'opensandbox_api_token.');
      $('token').focus();
    } else if (e.status === 404 || e.status === 405) {
      askToken('There is no management API at this address. Sandboxes show '
        + 'where the same server has a location /v1/ with opensandbox_api.');
    } else {
      down = true;
      problem(e.status === 403 ? `The gateway refuses: ${e.message}.`
        : `The gateway does not answer: ${e.message}`);
    }
    return false;
  }
}

// The page is at opensandbox_status, or at the root of the API's server, which
// has the same numbers for holders of the token.
async function status() {
  const answer = await fetch('?format=json', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`the status was answered with ${answer.status}`);
  const value = await answer.json();
  if (value.version) showStatus(value);
  else if (token !== null) showStatus(await call('GET', '/status'));
}

async function refresh() {
  if (!await guarded(status)) return false;
  if (token === null) {
    if (down) problem('');
    down = false;
    return true;
  }
  if (!await guarded(showSandboxes, showDenied)) return false;
  if (token === null) return true; // forgotten meanwhile
  problem('');
  down = false;
  $('token-form').hidden = true;
  $('main').hidden = false;
  $('forget').hidden = !token;
  return true;
}

async function loop() {
  if (!document.hidden) await refresh();
  setTimeout(loop, EVERY_MS);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});

// What this server has: {api, token}.
async function begin() {
  const answer = await fetch('?file=page.json', { cache: 'no-store' });
  const has = await answer.json();

  $('shared').hidden = !has.api || !has.shared;
  token = has.token ? sessionStorage.getItem(TOKEN) : '';
  if (!has.api) {
    token = null;
    $('elsewhere').hidden = false;
  } else if (token === null) {
    askToken('');
  }
  loop();
}

begin().catch((e) => problem(`The gateway does not answer: ${e.message}`));
