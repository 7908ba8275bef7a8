// What people do in the console, in a real Chromium, against a real server and a real broker.
//
//   node flows.mjs [--pictures DIR] [NAME…]       runs all flows, or those whose name contains a word
//
// REVEILLE_BINARY: the server (target/debug/reveille). REVEILLE_TEST_AMQP_URL: the broker; without it the embedded one is
// used, and flows that need a consumer of their own are left out. CHROMIUM: the browser (/usr/bin/chromium).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { access } from './access.mjs';
import { large, many } from './many.mjs';
import { pages } from './pages.mjs';
import { people } from './people.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '../..');
const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
// A generous bound: the machine may be busy.
const LONG = Number(process.env.LONG ?? 60_000);

const args = process.argv.slice(2);
const at = args.indexOf('--pictures');
const pictures = at >= 0 ? args.splice(at, 2)[1] : null;
if (pictures) mkdirSync(pictures, { recursive: true });

// ---- the server

const freePort = () => new Promise((done) => {
  const probe = createServer();
  probe.listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => done(port)); });
});

const KEYS = 'olga:olga-secret-0123456789:read+start+complete,reader:reader-secret-0123456789:read';

// What no page, address or log may hold: tokens that the tests have seen, and the secrets of keys.
const secrets = new Set(KEYS.split(',').map((key) => key.split(':')[1]));
const servers = [];

class Server {
  constructor(settings = {}) { this.settings = settings; this.log = ''; }

  /** A command of the same installation. */
  spawn(args) {
    return spawn(this.binary, args, { env: this.env, cwd: this.folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  async start() {
    if (!servers.includes(this)) servers.push(this);
    this.folder ??= mkdtempSync(join(tmpdir(), 'reveille-console.'));
    this.port ??= await freePort();
    this.base = `http://127.0.0.1:${this.port}`;
    this.env = {
      PATH: process.env.PATH, HOME: this.folder, REVEILLE__LOGS__FORMAT: 'json',
      REVEILLE__STORE__URL: `sqlite:${join(this.folder, 'store.db')}`, REVEILLE__API__LISTEN: `127.0.0.1:${this.port}`,
      REVEILLE__BUS__URL: process.env.REVEILLE_TEST_AMQP_URL ?? 'embedded:', REVEILLE__BUS__PREFIX: this.prefix ??= `c${this.port}`,
      REVEILLE__BUS__QUEUES: QUEUES.join(','), ...this.settings,
    };
    this.binary = process.env.REVEILLE_BINARY ?? join(root, 'target/debug/reveille');
    this.child = spawn(this.binary, ['serve'], { env: this.env, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((done) => this.child.once('exit', done));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (text) => { this.log += text; });
    let gone = false;
    this.ended.then(() => { gone = true; });
    await until('the server is ready', async () => {
      if (gone) throw new Error(`the server ended: ${this.log}`);
      return (await fetch(`${this.base}/readyz`).catch(() => null))?.status === 200;
    });
    return this;
  }

  async stop(signal = 'SIGTERM') { this.child.kill(signal); await this.ended; }

  async end() { await this.stop('SIGKILL'); rmSync(this.folder, { recursive: true, force: true }); }

  async call(operation, input) {
    const target = operation.startsWith('Reveille.') ? operation : `AWSStepFunctions.${operation}`;
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target };
    const answer = await fetch(this.base, { method: 'POST', headers, body: JSON.stringify(input) });
    const body = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(body));
    for (const { taskToken } of body.tasks ?? []) if (taskToken) secrets.add(taskToken);
    return body;
  }

  async machine(name, definition) {
    const made = await this.call('CreateStateMachine', { name, roleArn: 'arn:aws:iam::000000000000:role/r', definition: JSON.stringify(definition) });
    return made.stateMachineArn;
  }

  start_execution(arn, name, input = {}) {
    return this.call('StartExecution', { stateMachineArn: arn, name, input: JSON.stringify(input) });
  }
}

const until = async (what, done, within = LONG) => {
  const end = Date.now() + within;
  for (;;) {
    const value = await done();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
};

// ---- machines

const QUEUES = ['fraud-desk', 'photographer-friend', 'hostile', 'scales', 'slow'];
const ask = (queue, more = {}) => ({
  Type: 'Task', Resource: 'arn:aws:states:::amqp:publish.waitForTaskToken',
  Parameters: { Queue: queue, 'Body.$': '$' }, ...more,
});
const ORDER = {
  Comment: 'An order is checked, and a person decides where the risk is high.', StartAt: 'Check the order',
  States: {
    'Check the order': { Type: 'Pass', Next: 'Fraud risk?' },
    'Fraud risk?': {
      Type: 'Choice', Default: 'Charge the card',
      Choices: [{ Variable: '$.risk', NumericGreaterThan: 30, Next: 'Ask the fraud desk' }],
    },
    'Ask the fraud desk': ask('fraud-desk', {
      Comment: 'A customer orders for more than usual. May we deliver?', TimeoutSeconds: 86_400, HeartbeatSeconds: 3_600,
      ResultPath: '$.desk', Catch: [{ ErrorEquals: ['Desk.Refused'], ResultPath: '$.why', Next: 'Refuse the order' }], Next: 'Desk said yes?',
    }),
    'Desk said yes?': {
      Type: 'Choice', Default: 'Refuse the order',
      Choices: [{ Variable: '$.desk.approved', BooleanEquals: true, Next: 'Charge the card' }],
    },
    'Charge the card': { Type: 'Parallel', Branches: [
      { StartAt: 'Send the receipt', States: { 'Send the receipt': { Type: 'Pass', End: true } } },
      { StartAt: 'Reserve the goods', States: { 'Reserve the goods': { Type: 'Pass', End: true } } },
    ], ResultPath: null, Next: 'Delivered' },
    Delivered: { Type: 'Succeed' },
    'Refuse the order': { Type: 'Fail', Error: 'Order.Refused', Cause: 'the fraud desk said no' },
  },
};
const FRIEND = { StartAt: 'Hire a photographer', States: {
  'Hire a photographer': ask('photographer-friend', {
    Comment: 'The callback pattern: asks a friend, and sleeps until the answer comes.', TimeoutSeconds: 259_200,
    ResultSelector: { 'name.$': '$.name', found_by: "a friend's recommendation" }, End: true,
  }),
} };
const BROKEN = { StartAt: 'Prepare', States: {
  Prepare: { Type: 'Pass', Next: 'Send' }, Send: { Type: 'Fail', Error: 'Carrier.Closed', Cause: 'no van today' },
} };
const EVIL = '<img src=x onerror=alert(1)>"\'</script><script>alert(2)</script>&amp;';

// ---- the browser

const foreign = [];
const shown = [];
const reports = [];
const watch = (page) => {
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    shown.push(request.url());
    if (protocol !== 'data:' && hostname !== '127.0.0.1') foreign.push(request.url());
  });
  page.on('response', (response) => {
    if (/html|event-stream/.test(response.headers()['content-type'] ?? '')) response.text().then((text) => shown.push(text), () => {});
  });
  page.on('console', (message) => { if (/Content Security Policy|Trusted ?Type|Refused to/i.test(message.text())) reports.push(message.text()); });
  page.on('pageerror', (error) => reports.push(String(error)));
  page.on('dialog', (dialog) => { reports.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  return page;
};

const accessible = async (page, name) => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // The page's own policy lets no script in; the test's script comes over the debugger.
    const found = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => ({ id: v.id, nodes: v.nodes.map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')) })))`);
    assert.deepEqual(found, [], `axe on ${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
};

const picture = async (page, name, options = {}) => {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), ...options });
};

// ---- flows

const flows = [];
const flow = (name, run) => flows.push({ name, run });

flow('an empty server says what to do, and a first start is seen live without a reload', async ({ page, server }) => {
  await page.goto(`${server.base}/console`);
  await page.getByText('Nothing has been started here yet').waitFor();
  await accessible(page, 'the empty list');
  server.order = await server.machine('fulfil-order', ORDER);
  server.friend = await server.machine('art-event', FRIEND);
  server.broken = await server.machine('ship-parcels', BROKEN);
  await page.locator('.pulse.on').waitFor();
  await page.evaluate(() => { window.kept = true; });
  await server.start_execution(server.broken, 'parcel-1');
  await page.getByRole('link', { name: 'parcel-1' }).waitFor();
  assert.equal(await page.evaluate(() => window.kept), true, 'the page was not loaded again');
});

flow('a machine is started on its page with an input, and a wrong input is told', async ({ page, server }) => {
  await page.goto(`${server.base}/console/machines`);
  await page.getByRole('link', { name: 'fulfil-order' }).click();
  await page.locator('svg.graph').waitFor();
  await accessible(page, 'a machine');
  await picture(page, 'machine');
  await page.getByText('Start…').click();
  await page.getByLabel('Input (JSON)').fill('{"order": ');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByLabel('Input (JSON)').inputValue(), '{"order": ', 'what was typed is kept');
  await page.getByLabel('Name').fill('order-0815');
  await page.getByLabel('Input (JSON)').fill('{"order": "0815", "amount": 4190.00, "risk": 57, "reasons": ["new address", "first order"]}');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: /order-0815/ }).waitFor();
});

flow('an execution says in words on whom it waits, and whether anybody is there', async ({ page, server }) => {
  await page.goto(`${server.base}/console/executions?q=order-0815`);
  await page.getByRole('link', { name: 'order-0815' }).click();
  const sentence = page.locator('[data-live=sentence]');
  await sentence.getByText('Waits for 1 answer').waitFor();
  await until('the queue is looked at', async () => /no consumer/.test(await sentence.textContent()));
  assert.match(await sentence.textContent(), /Ask the fraud desk: queue fraud-desk \(no consumer, \d+ messages? there\), for .*next heartbeat due .*times out/s);
  assert.match(await page.locator('[data-live=panel]').textContent(), /waits for an answer/);
  assert.equal(await page.locator('g.state.waiting').count(), 1);
  assert.ok((await page.content()).includes('4190.00'), 'numbers keep their digits');
  await accessible(page, 'an execution');
  await picture(page, 'execution');
  for (const [view, text] of [['Events', 'TaskSubmitted'], ['Definition', 'Ask the fraud desk']]) {
    await page.getByRole('link', { name: view, exact: true }).click();
    await page.getByText(text).first().waitFor();
    await accessible(page, view);
  }
});

flow('the inbox offers the answers that the Choice tells apart; the graph follows live in another tab', async ({ page, context, server }) => {
  const other = watch(await context.newPage());
  await other.goto(`${server.base}/console/executions?q=order-0815`);
  await other.getByRole('link', { name: 'order-0815' }).click();
  await other.locator('.pulse.on').waitFor();
  await page.goto(`${server.base}/console/inbox`);
  await page.getByRole('button', { name: 'approved = true' }).waitFor();
  await accessible(page, 'the inbox');
  await picture(page, 'inbox');
  await page.getByRole('button', { name: 'approved = true' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await other.locator('[data-live=sentence]').getByText('It has succeeded').waitFor();
  await other.locator('g.state.done[data-state="/States/Delivered"]').waitFor();
  await other.close();
  assert.ok(server.log.includes('"task.by":"console"'), 'the log says who');
});

flow('fields are read from the ResultSelector, JSON that is none is marked and kept', async ({ page, server }) => {
  await server.start_execution(server.friend, 'vernissage', { question: 'Which photographer would you take?' });
  await page.goto(`${server.base}/console/inbox`);
  await page.getByText('vernissage').first().waitFor();
  await page.getByText('Answer with JSON').click();
  await page.getByLabel(/^Output/).fill('{"name": ');
  await page.getByRole('button', { name: 'Send the answer' }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByLabel(/^Output/).inputValue(), '{"name": ');
  await accessible(page, 'a refused answer');
  await page.getByLabel('name', { exact: true }).fill('Lumen & Söhne');
  await page.getByRole('button', { name: 'Answer', exact: true }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await page.getByText('It has succeeded').waitFor();
  assert.ok((await page.content()).includes('Lumen &amp; Söhne'));
});

flow('a refusal takes the Catch path, and the failed execution opens at its failure and is redriven', async ({ page, server }) => {
  await server.start_execution(server.order, 'order-0816', { risk: 90 });
  await page.goto(`${server.base}/console/inbox?machine=fulfil-order`);
  await page.getByText('order-0816').first().waitFor();
  await page.getByText('Refuse, or ask for more time').click();
  await page.getByLabel(/^Error/).fill('Desk.Refused');
  await page.getByRole('button', { name: 'Let the task fail' }).click();
  await page.getByText('It failed with Order.Refused').waitFor();
  assert.equal(await page.locator('path.edge.catch.taken').count(), 1);
  assert.match(await page.locator('[data-live=panel] h2').textContent(), /Refuse the order/);
  await picture(page, 'failed');
  await page.getByRole('button', { name: 'Redrive from the failure' }).click();
  await page.getByText('The execution goes on from where it failed.').waitFor();
  await page.getByText('redriven 1 time').waitFor();
});

people({ flow, until, watch, accessible, picture, Server, EVIL });
pages({ flow, until, watch, accessible, picture, ask, Server, BROKEN });

flow('two people at once: one wins, the other is told', async ({ page, context, server }) => {
  await server.start_execution(server.order, 'order-0817', { risk: 44 });
  const other = watch(await context.newPage());
  for (const tab of [page, other]) {
    await tab.goto(`${server.base}/console/inbox?machine=fulfil-order`);
    await tab.getByRole('button', { name: 'approved = false' }).waitFor();
  }
  const late = await other.locator('form:has(input[value=choice])').first().evaluateHandle((form) => form);
  await page.getByRole('button', { name: 'approved = true' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await late.evaluate((form) => { document.body.append(form); form.requestSubmit(); });
  await other.getByText('This task does not wait any more').waitFor();
  await other.getByText(/answered by console/).waitFor();
  await other.getByText('"approved": true').waitFor();
  await accessible(other, 'a task that is over');
  await other.close();
});

flow('the search finds, the address can be shared, and back goes back', async ({ page, server }) => {
  await page.goto(`${server.base}/console/executions`);
  await page.keyboard.press('/');
  await page.keyboard.type('machine:fulfil-order status:failed error:Refused');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'order-0816' }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1);
  const shared = page.url();
  await accessible(page, 'the list');
  await page.getByRole('link', { name: 'All', exact: true }).click();
  await page.getByText('Looked at').waitFor();
  await page.goBack();
  assert.equal(page.url(), shared);
  await page.goto(`${server.base}/console/executions?q=colour:red`);
  await page.getByText('Not understood: colour').waitFor();
  await page.goto(`${server.base}/console/executions`);
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'executions-dark');
  await page.emulateMedia({ colorScheme: 'light' });
});

flow('queues: what nobody consumes is named, and keys lead on', async ({ page, server }) => {
  await server.start_execution(server.order, 'order-0818', { risk: 31 });
  await page.goto(`${server.base}/console/queues`);
  await page.getByText('nobody consumes').first().waitFor();
  await accessible(page, 'the queues');
  await picture(page, 'queues');
  await page.keyboard.press('g');
  await page.keyboard.press('i');
  await page.getByRole('heading', { name: 'Inbox' }).waitFor();
});

flow('hostile text in every field stays text', async ({ page, server }) => {
  const evil = { StartAt: EVIL.slice(0, 70), Comment: EVIL, States: {
    [EVIL.slice(0, 70)]: ask('hostile', { Comment: EVIL, ResultSelector: { 'x.$': '$.x' }, Retry: [{ ErrorEquals: [EVIL], MaxAttempts: 0 }], End: true }),
  } };
  const arn = await server.machine('hostile', evil);
  const started = await server.start_execution(arn, 'hostile-1', { [EVIL]: EVIL });
  await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { stateMachineArn: arn })).tasks.length === 1);
  await page.goto(`${server.base}/console/executions?q=${encodeURIComponent(EVIL)}`);
  await page.goto(`${server.base}/console/inbox?machine=hostile&queue=${encodeURIComponent(EVIL)}`);
  await page.goto(`${server.base}/console/inbox?machine=hostile`);
  await page.getByText('onerror').first().waitFor();
  await page.goto(`${server.base}/console/executions?q=hostile-1`);
  await page.getByRole('link', { name: 'hostile-1' }).click();
  for (const view of ['Graph', 'Events', 'Definition']) {
    await page.getByRole('link', { name: view, exact: true }).click();
    assert.equal(await page.locator('img').count(), 0);
  }
  const [task] = (await server.call('Reveille.ListWaitingTasks', { stateMachineArn: arn })).tasks;
  await server.call('SendTaskFailure', { taskToken: task.taskToken, error: EVIL, cause: EVIL });
  await page.goto(`${server.base}/console/executions?q=hostile-1`);
  await page.getByRole('link', { name: 'hostile-1' }).click();
  await page.getByText('It failed with').waitFor();
  await page.goto(`${server.base}/console/machines/hostile`);
  assert.equal(await page.locator('img').count(), 0);
  assert.ok(started.executionArn);
});

flow('no token of a task is in a page or an address', async ({ page, server }) => {
  await server.start_execution(server.friend, 'secret-1');
  const [task] = await until('it waits', async () => {
    const { tasks } = await server.call('Reveille.ListWaitingTasks', { stateMachineArn: server.friend });
    return tasks.length > 0 && tasks;
  });
  for (const address of ['inbox', 'inbox?machine=art-event', 'executions?q=secret', 'queues']) {
    await page.goto(`${server.base}/console/${address}`);
    assert.ok(!(await page.content()).includes(task.taskToken), address);
  }
  await page.goto(`${server.base}/console/executions?q=secret-1`);
  await page.getByRole('link', { name: 'secret-1' }).click();
  for (const view of ['Graph', 'Events', 'Definition']) {
    await page.getByRole('link', { name: view, exact: true }).click();
    assert.ok(!(await page.content()).includes(task.taskToken), view);
  }
});

flow('without scripts: lists, one execution, an answer', async ({ browser, server }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = watch(await context.newPage());
  await server.start_execution(server.discount, 'offer-0813', { customer: 'Nordlicht GmbH', value: 4190, asked: 18, documents: [] });
  await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { stateMachineArn: server.discount })).tasks.length === 1);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByLabel(/^Discount you grant/).fill('12');
  await page.getByLabel(/^Reason/).fill('without scripts');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('It has succeeded').waitFor();
  await page.goto(`${server.base}/console/inbox?machine=art-event`);
  await page.getByLabel('name', { exact: true }).fill('Ada');
  await page.getByRole('button', { name: 'Answer', exact: true }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await page.getByText('It has succeeded').waitFor();
  await page.getByRole('link', { name: 'Executions' }).click();
  await page.getByRole('link', { name: 'secret-1' }).waitFor();
  await context.close();
});

many({ flow, until, watch, accessible, picture, ask, Server });
access({ flow, until, watch, ask, Server, EVIL });

flow('the server is killed: the page says so, and catches up after the restart', async ({ page, server }) => {
  await page.goto(`${server.base}/console/executions`);
  await page.locator('.pulse.on').waitFor();
  await server.stop('SIGKILL');
  await page.locator('.pulse:not(.on)').waitFor();
  await server.start();
  await server.start_execution(server.broken, 'after-restart');
  await page.locator('.pulse.on').waitFor();
  await page.getByRole('link', { name: 'after-restart' }).waitFor();
});

flow('eight tabs are live at once', async ({ context, server }) => {
  const tabs = [];
  for (let n = 0; n < 8; n += 1) {
    const tab = watch(await context.newPage());
    await tab.goto(`${server.base}/console/executions`);
    tabs.push(tab);
  }
  await server.start_execution(server.broken, 'for-eight');
  for (const tab of tabs) await tab.getByRole('link', { name: 'for-eight' }).waitFor();
  for (const tab of tabs) await tab.close();
});

flow('with keys: sign-in, rights, and forms of other sites', async ({ browser }) => {
  const server = await new Server({ REVEILLE__API__KEYS: KEYS }).start();
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  try {
    await page.goto(`${server.base}/console/machines`);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await accessible(page, 'the sign-in');
    await page.getByLabel('Key').fill('reader');
    await page.getByLabel('Secret').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('do not belong together').waitFor();
    await page.getByLabel('Key').fill('reader');
    await page.getByLabel('Secret').fill('reader-secret-0123456789');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Executions' }).waitFor();
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
    // A reader sees no button, and gets none by hand.
    const sent = (site) => page.evaluate(async ([address, site]) => (await fetch(address, { method: 'POST', body: new URLSearchParams({ kind: 'start', site }) })).status, [`${server.base}/console/machines/none`, site]);
    assert.equal(await sent('same'), 403);
    const raw = (headers) => fetch(`${server.base}/console/executions`, { redirect: 'manual', headers }).then((answer) => answer.status);
    const session = `${cookie.name}=${cookie.value}`;
    assert.equal(await raw({ cookie: session }), 200);
    assert.equal(await raw({ cookie: `${cookie.name}=other` }), 303);
    assert.equal(await raw({ cookie: session, host: 'evil.example' }), 200, 'fetch sets its own Host');
    const post = (headers) => fetch(`${server.base}/console/sign-out`, { method: 'POST', redirect: 'manual', headers: { cookie: session, 'content-type': 'application/x-www-form-urlencoded', ...headers } }).then((answer) => answer.status);
    assert.equal(await post({ 'sec-fetch-site': 'cross-site' }), 421);
    assert.equal(await post({ origin: 'https://evil.example' }), 421);
    assert.equal(await post({}), 403);
    assert.equal(await raw({ cookie: session }), 200, 'nothing of that signed anybody out');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(await raw({ cookie: session }), 303, 'the session is over for good');
    assert.ok(!server.log.includes('secret-0123456789') && !server.log.includes(cookie.value), 'no secret in the log');
  } finally {
    await context.close();
    await server.end();
  }
});

large({ flow, until, accessible, picture });

flow('no token and no secret of this run is in a page, an address or a log', async ({ server }) => {
  await server.start_execution(server.friend, 'last', {});
  await until('a task waits', async () => (await server.call('Reveille.ListWaitingTasks', {})).tasks.length > 0);
  assert.ok(secrets.size > 2 && shown.length > 100, `${secrets.size} secrets, ${shown.length} texts`);
  for (const secret of secrets) {
    for (const text of shown) assert.ok(!text.includes(secret), `a secret is shown: ${text.slice(0, 200)}`);
    for (const { log } of servers) assert.ok(!log.includes(secret), 'a secret is in a log');
  }
});

// ---- the run

const wanted = flows.filter(({ name }) => args.length === 0 || args.some((word) => name.includes(word)));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const server = await new Server().start();
let failed = 0;
try {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
  context.setDefaultTimeout(LONG);
  for (const { name, run } of wanted) {
    const page = watch(await context.newPage());
    const began = Date.now();
    try {
      await run({ browser, context, page, server });
      assert.deepEqual(foreign, [], 'requests to other hosts');
      assert.deepEqual(reports, [], 'reports of the browser');
      console.log(`ok      ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}\n${reports.join('\n')}`);
      if (process.env.KEEP) await page.screenshot({ path: join(process.env.KEEP, `failed-${failed}.png`) }).catch(() => {});
      reports.length = 0;
      foreign.length = 0;
    }
    await page.close();
  }
  await context.close();
} finally {
  await browser.close();
  if (failed > 0 && process.env.KEEP_LOG) console.log(server.log.slice(-4000));
  await server.end();
}
console.log(`test result: ${failed === 0 ? 'ok' : 'FAILED'}. ${wanted.length - failed} passed; ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
