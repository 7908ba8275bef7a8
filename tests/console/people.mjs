// What people do with the tasks that ask them: forms, claims, answers, approval links, ways to sign in. Run by flows.mjs.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { promisify } from 'node:util';

const ASK = 'arn:aws:states:::reveille:ask.waitForTaskToken';
const DISCOUNT = {
  Comment: 'A discount beyond what the salesman may give is decided by a person.', StartAt: 'Approve the discount',
  States: {
    'Approve the discount': {
      Type: 'Task', Resource: ASK, TimeoutSeconds: 3_600, HeartbeatSeconds: 1_800,
      Parameters: {
        Form: {
          Title: 'Approve the discount', For: ['pricing'],
          Text: 'A customer asks for more than the salesman may give.\nWithout an answer the order goes on without it.',
          Show: [
            { Label: 'Customer', 'Value.$': '$.customer' }, { Label: 'Order value', 'Value.$': "States.Format('{} EUR', $.value)" },
            { Label: 'Discount asked', 'Value.$': "States.Format('{} %', $.asked)" }, { Label: 'Documents', 'Value.$': '$.documents' },
          ],
          Schema: { type: 'object', required: ['discount', 'reason'], properties: {
            discount: { type: 'number', minimum: 0, maximum: 20, title: 'Discount you grant', description: 'in percent;' },
            reason: { type: 'string', format: 'textarea', title: 'Reason', description: 'The customer sees it.', minLength: 5 },
            until: { type: 'string', format: 'date', title: 'Valid until' },
            tell: { type: 'array', title: 'Tell', items: { type: 'string', enum: ['sales', 'accounting', 'the customer'] }, default: ['sales'] },
          } },
          Actions: [
            { Label: 'Approve', Success: { approved: true } },
            { Label: 'Reject', Failure: { Error: 'Discount.Rejected' }, Ask: ['reason'] },
          ],
        },
      },
      Catch: [{ ErrorEquals: ['Discount.Rejected'], ResultPath: '$.why', Next: 'Without a discount' }], ResultPath: '$.decision',
      Next: 'Write the offer',
    },
    'Write the offer': { Type: 'Pass', End: true },
    'Without a discount': { Type: 'Pass', End: true },
  },
};
const NORDLICHT = { customer: 'Nordlicht GmbH', value: 4190, asked: 18, documents: ['offer-0811.pdf', 'letter.pdf'] };

export const people = ({ flow, until, watch, accessible, picture, Server, EVIL }) => {

flow('a form of one\'s own: what is wrong is marked, what was typed is kept, the answer is the output', async ({ page, server }) => {
  server.discount = await server.machine('discount', DISCOUNT);
  await server.start_execution(server.discount, 'offer-0811', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByRole('heading', { name: 'Approve the discount' }).waitFor();
  for (const text of ['Nordlicht GmbH', '4190 EUR', 'offer-0811.pdf, letter.pdf', 'pricing']) await page.getByText(text, { exact: true }).waitFor();
  await accessible(page, 'a form');
  await page.getByLabel(/^Discount you grant/).fill('25');
  await page.getByLabel(/^Reason/).fill('no');
  // The browser's own check is passed by, as a script would.
  await page.locator('form.answer').evaluate((form) => { form.noValidate = true; });
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('alert').getByText('Your answer was not taken yet.').waitFor();
  await page.getByText('Write a number from 0 to 20.').first().waitFor();
  assert.equal(await page.getByLabel(/^Discount you grant/).inputValue(), '25');
  assert.equal(await page.getByLabel(/^Reason/).inputValue(), 'no');
  assert.equal(await page.locator('[aria-invalid=true]').count(), 2);
  await accessible(page, 'a form with wrong fields');
  await picture(page, 'form-wrong');
  await page.getByLabel(/^Discount you grant/).fill('15.5');
  await page.getByLabel(/^Reason/).fill('A good customer\nfor years');
  await page.getByLabel(/^Valid until/).fill('2026-12-15');
  await page.getByLabel('the customer').check();
  await picture(page, 'form');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  const { output } = await until('it has succeeded', async () => {
    const execution = await server.call('DescribeExecution', { executionArn: `${server.discount.replace(':stateMachine:', ':execution:')}:offer-0811` });
    return execution.status === 'SUCCEEDED' && execution;
  });
  assert.deepEqual(JSON.parse(output).decision, {
    discount: 15.5, reason: 'A good customer\nfor years', until: '2026-12-15', tell: ['sales', 'the customer'], approved: true,
  });
});

flow('a form rejects with the reason that it asks for, by keys alone, and Catch leads on', async ({ page, server }) => {
  await server.start_execution(server.discount, 'offer-0812', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  const reason = page.getByLabel(/^Reason/);
  await reason.waitFor();
  for (let n = 0; n < 60 && !(await reason.evaluate((input) => input === document.activeElement)); n += 1) await page.keyboard.press('Tab');
  await page.keyboard.type('too much this year');
  const reject = page.getByRole('button', { name: 'Reject' });
  for (let n = 0; n < 20 && !(await reject.evaluate((button) => button === document.activeElement)); n += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('Your answer was taken.').waitFor();
  await page.getByText('It has succeeded').waitFor();
  assert.equal(await page.locator('path.edge.catch.taken').count(), 1, 'the path of Catch is drawn');
  assert.ok((await page.content()).includes('too much this year'));
});

flow('a form that cannot be checked is refused with its place when the machine is made', async ({ server }) => {
  const broken = structuredClone(DISCOUNT);
  broken.States['Approve the discount'].Parameters.Form.Schema.properties.discount.multipleOf = 5;
  const { result, diagnostics } = await server.call('ValidateStateMachineDefinition', { definition: JSON.stringify(broken, null, 1) });
  assert.equal(result, 'FAIL');
  assert.match(diagnostics[0].message, /multipleOf/);
  assert.equal(diagnostics[0].location, '/States/Approve the discount/Parameters/Form/Schema/properties/discount/multipleOf');
});

flow('a form beside a definition that stays as AWS takes it', async ({ page, server }) => {
  await server.call('Reveille.PutForm', { name: 'desk', form: {
    'Title.$': "States.Format('Order {}', $.order)", Show: [{ Label: 'Risk', 'Value.$': '$.risk' }],
    Schema: { type: 'object', required: ['note'], properties: { note: { type: 'string', title: 'Note' }, sure: { type: 'boolean', title: 'I have called the customer' } } },
    Actions: [{ Label: 'Deliver', Success: { approved: true } }, { Label: 'Refuse', Success: { approved: false }, Ask: [] }],
  } });
  await server.call('TagResource', { resourceArn: server.order, tags: [{ key: 'reveille:form:Ask the fraud desk', value: 'desk' }] });
  await server.start_execution(server.order, 'order-0840', { order: '0840', risk: 61 });
  await page.goto(`${server.base}/console/inbox?machine=fulfil-order`);
  await page.locator('.tasks').getByRole('link', { name: /order-0840/ }).click();
  await page.getByRole('heading', { name: 'Order 0840' }).waitFor();
  await page.getByLabel(/^Note/).fill('spoke to her');
  await page.getByLabel('I have called the customer').check();
  await accessible(page, 'a form beside a definition');
  await page.getByRole('button', { name: 'Deliver' }).click();
  await page.getByText('It has succeeded').waitFor();
  const { output } = await server.call('DescribeExecution', { executionArn: `${server.order.replace(':stateMachine:', ':execution:')}:order-0840` });
  assert.deepEqual(JSON.parse(output).desk, { note: 'spoke to her', sure: true, approved: true });
  await server.call('UntagResource', { resourceArn: server.order, tagKeys: ['reveille:form:Ask the fraud desk'] });
});

flow('a claim is shown to others, and the list of answers names who said what', async ({ page, context, server }) => {
  await server.start_execution(server.discount, 'offer-0814', NORDLICHT);
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByRole('button', { name: 'Claim' }).click();
  await page.getByText('You work on it now').waitFor();
  await accessible(page, 'a claimed task');
  const other = watch(await context.newPage());
  await other.goto(`${server.base}/console/inbox?machine=discount`);
  await other.getByText('works on it').waitFor();
  await other.close();
  await page.getByLabel(/^Discount you grant/).fill('5');
  await page.getByLabel(/^Reason/).fill('as before');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Your answer was taken.').waitFor();
  await page.goto(`${server.base}/console/inbox/answered`);
  await page.getByRole('row', { name: /console.*Approve.*Approve the discount.*offer-0814/ }).waitFor();
  await page.getByRole('row', { name: /Reject/ }).first().waitFor();
  await accessible(page, 'answers');
  await picture(page, 'answered');
});

// ---- approval links

const arnOf = (machine, name) => `${machine.replace(':stateMachine:', ':execution:')}:${name}`;
const asked = async (server, name) => {
  await server.start_execution(server.discount, name, NORDLICHT);
  const executionArn = arnOf(server.discount, name);
  await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { executionArn })).tasks.length === 1);
  return executionArn;
};

flow('an approval link: opening it does nothing, a button acts once, the second is told who was first', async ({ page, browser, server }) => {
  const executionArn = await asked(server, 'offer-0830');
  const made = await server.call('Reveille.CreateApprovalLink', { executionArn, for: 'olga@example.com', actions: ['Approve'] });
  assert.ok(made.url.startsWith(`${server.base}/a#`), made.url);
  assert.deepEqual(made.actions, ['Approve']);
  const code = made.url.split('#')[1];
  // What a scanner of mails does.
  for (let n = 0; n < 10; n += 1) assert.equal((await fetch(made.url)).status, 200);
  for (const headers of [{}, { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }]) {
    const body = new URLSearchParams({ code, kind: 'form', action: '0', f0: '5', f1: 'not from our page' });
    assert.ok([403, 421].includes((await fetch(`${server.base}/a`, { method: 'POST', headers, body })).status));
  }
  assert.equal((await server.call('DescribeExecution', { executionArn })).status, 'RUNNING');
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 } });
  const guest = watch(await context.newPage());
  await guest.goto(made.url);
  await guest.getByRole('heading', { name: 'Approve the discount' }).waitFor();
  await guest.getByText('Nordlicht GmbH').waitFor();
  assert.equal(await guest.getByRole('button', { name: 'Reject' }).count(), 0, 'the link allows one button');
  assert.equal(await guest.getByText('Whole payload').count(), 0, 'the page shows what the form shows');
  assert.ok(!guest.url().includes(code), 'the code is not in the address any more');
  assert.equal((await context.cookies()).length, 0);
  await accessible(guest, 'an approval link');
  await picture(guest, 'link');
  await guest.getByLabel(/^Discount you grant/).fill('99');
  await guest.getByLabel(/^Reason/).fill('by mail');
  await guest.locator('form.answer').evaluate((form) => { form.noValidate = true; });
  await guest.getByRole('button', { name: 'Approve' }).click();
  await guest.getByRole('alert').waitFor();
  // A button that the link does not allow, sent by hand.
  await guest.evaluate(() => { const form = document.querySelector('form.answer'); const button = form.querySelector('button'); button.value = '1'; form.noValidate = true; button.click(); });
  await guest.getByText('Choose one of the buttons.').waitFor();
  assert.equal((await server.call('DescribeExecution', { executionArn })).status, 'RUNNING');
  await guest.getByLabel(/^Discount you grant/).fill('9');
  await guest.getByLabel(/^Reason/).fill('by mail');
  await guest.getByRole('button', { name: 'Approve' }).click();
  await guest.getByText('Your answer was taken').waitFor();
  await accessible(guest, 'thanks');
  await guest.goto('about:blank');
  await guest.goto(made.url);
  await guest.getByText('This question is closed').waitFor();
  await guest.getByText(/Answered by olga@example\.com \(link, made by .*\): Approve, .* ago/).waitFor();
  await accessible(guest, 'a closed question');
  await context.close();
  await page.goto(`${server.base}/console/inbox/answered`);
  await page.getByRole('row', { name: /olga@example\.com.*Approve.*offer-0830/ }).waitFor();
  assert.ok(server.log.includes('"event":"link.used"') && server.log.includes('olga@example.com (link'), 'the log says who');
  assert.ok(!server.log.includes(code), 'the code is in no log');
});

flow('a link that was withdrawn, is over, was changed, or whose task is gone says so kindly; without scripts it is pasted', async ({ page, browser, server }) => {
  const executionArn = await asked(server, 'offer-0831');
  const made = await server.call('Reveille.CreateApprovalLink', { executionArn, for: EVIL.slice(0, 80) });
  const short = await server.call('Reveille.CreateApprovalLink', { executionArn, for: 'ada@example.com', expiresSeconds: 1 });
  const other = await server.call('Reveille.CreateApprovalLink', { executionArn, for: 'eve@example.com' });
  await server.call('Reveille.RevokeApprovalLink', { linkId: other.linkId });
  const open = async (url) => { await page.goto('about:blank'); await page.goto(url); };
  await open(other.url);
  await page.getByText('It was withdrawn').waitFor();
  await accessible(page, 'a withdrawn link');
  await until('its time is over', async () => { await open(short.url); await page.getByRole('heading').first().waitFor(); return (await page.content()).includes('It was good until'); });
  const at = made.url.length - 20;
  await open(made.url.slice(0, at) + (made.url[at] === 'A' ? 'B' : 'A') + made.url.slice(at + 1));
  await page.getByText('not one of this server').waitFor();
  await open(`${server.base}/a`);
  await accessible(page, 'a link without its code');
  await open(made.url);
  await page.getByText('onerror').first().waitFor();
  assert.equal(await page.locator('img').count(), 0);
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 320, height: 640 } });
  const bare = watch(await context.newPage());
  await bare.goto(made.url);
  await bare.getByLabel('Link').fill(made.url);
  await bare.getByRole('button', { name: 'Show the question' }).click();
  await bare.getByRole('heading', { name: 'Approve the discount' }).waitFor();
  await server.call('StopExecution', { executionArn });
  await bare.getByLabel(/^Reason/).fill('too late');
  await bare.getByRole('button', { name: 'Reject' }).click();
  await bare.getByText('This question is closed').waitFor();
  await context.close();
});

flow('a person in the inbox makes a link for somebody else', async ({ page, server }) => {
  await asked(server, 'offer-0832');
  await page.goto(`${server.base}/console/inbox?machine=discount`);
  await page.getByText('Ask another person by a link').click();
  await page.getByLabel(/^For/).fill('friend@example.com');
  await page.getByRole('button', { name: 'Make a link' }).click();
  await page.getByText('The link is made.').waitFor();
  await accessible(page, 'a link that was made');
  const address = await page.locator('#made-link').inputValue();
  await page.goto(address);
  await page.getByText('friend@example.com').waitFor();
  await page.getByText('made by console').waitFor();
  await page.getByLabel(/^Reason/).fill('no, sorry');
  await page.getByRole('button', { name: 'Reject' }).click();
  await page.getByText('Your answer was taken').waitFor();
});

flow('the art event waits for the friend, and for nobody else', async ({ page, server }) => {
  const example = (name) => readFileSync(new URL(`../../examples/art-event/${name}`, import.meta.url), 'utf8');
  const arn = await server.machine('art-event-whole', JSON.parse(example('art-event.asl.json')));
  await server.start_execution(arn, 'open-studios', JSON.parse(example('input.json')));
  const executionArn = arnOf(arn, 'open-studios');
  const answers = { 'Set up the venue': { booked: true }, 'Arrange catering': { menu: 'soup and bread', portions: 40 } };
  // The workers of the other branches answer.
  await until('the friend alone is waited for', async () => {
    const { tasks } = await server.call('Reveille.ListWaitingTasks', { executionArn });
    for (const { stateName, taskToken } of tasks.filter((task) => answers[task.stateName])) {
      await server.call('SendTaskSuccess', { taskToken, output: JSON.stringify(answers[stateName]) });
    }
    return tasks.length === 1 && tasks[0].stateName === 'Hire a photographer';
  });
  await page.goto(`${server.base}/console/executions?q=open-studios`);
  await page.getByRole('link', { name: 'open-studios' }).click();
  const sentence = page.locator('[data-live=sentence]');
  await until('the ink is dry', async () => { await sentence.waitFor(); return page.locator('g.state.done[data-state*="Let the ink dry"]').count(); });
  assert.match(await sentence.textContent(), /Waits for 1 answer.*Hire a photographer.*queue photographer-friend/s);
  assert.match(await page.locator('[data-live=panel] h2').first().textContent(), /Hire a photographer/);
  await accessible(page, 'the art event');
  await picture(page, 'art-event');
});

// ---- ways to sign in

const run = promisify(execFile);

flow('a link to a form with SignIn is for people who are signed in', async ({ browser }) => {
  const server = await new Server({ REVEILLE__API__KEYS: 'olga:olga-secret-0123456789:read+start+complete+admin,viewer:viewer-secret-0123456789:read' }).start();
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  const env = { PATH: process.env.PATH, HOME: server.folder, REVEILLE_ENDPOINT: server.base, AWS_ACCESS_KEY_ID: 'olga', AWS_SECRET_ACCESS_KEY: 'olga-secret-0123456789' };
  const call = async (operation, input) => JSON.parse((await run(server.binary, ['call', operation, JSON.stringify(input)], { env })).stdout);
  const signIn = async (key) => {
    await page.goto(`${server.base}/console/sign-in`);
    await page.getByLabel('Key').fill(key);
    await page.getByLabel('Secret').fill(`${key}-secret-0123456789`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Executions' }).waitFor();
  };
  try {
    const closed = structuredClone(DISCOUNT);
    closed.States['Approve the discount'].Parameters.Form.SignIn = true;
    const { stateMachineArn } = await call('CreateStateMachine', { name: 'discount', roleArn: 'arn:aws:iam::000000000000:role/r', definition: JSON.stringify(closed) });
    const { executionArn } = await call('StartExecution', { stateMachineArn, name: 'offer-1', input: JSON.stringify(NORDLICHT) });
    const { url } = await call('Reveille.CreateApprovalLink', { executionArn, for: 'olga@example.com' });
    const open = async () => { await page.goto('about:blank'); await page.goto(url); };
    await open();
    await page.getByText('Only for people who are signed in').waitFor();
    assert.ok(!(await page.content()).includes('Nordlicht'));
    await accessible(page, 'a link that asks for a sign-in');
    await signIn('viewer');
    await open();
    await page.getByText('your key may not answer tasks').waitFor();
    await page.goto(`${server.base}/console/executions`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn('olga');
    await open();
    await page.getByText('Nordlicht GmbH').waitFor();
    await page.getByLabel(/^Reason/).fill('not this time');
    await page.getByRole('button', { name: 'Reject' }).click();
    await page.getByText('Your answer was taken').waitFor();
    assert.ok(server.log.includes('"task.by":"olga (console)"'), 'the log says who');
  } finally {
    await context.close();
    await server.end();
  }
});

flow('reveille console prints an address that signs in once; a key without payloads sees none', async ({ browser }) => {
  const server = await new Server({ REVEILLE__API__KEYS: 'olga:olga-secret-0123456789:read+start+complete+admin,viewer:viewer-secret-0123456789:read+no-payload' }).start();
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  const cli = (key, ...args) => run(server.binary, args, { env: { PATH: process.env.PATH, HOME: server.folder, REVEILLE_ENDPOINT: server.base, AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: `${key}-secret-0123456789` } });
  const call = async (key, operation, input) => JSON.parse((await cli(key, 'call', operation, JSON.stringify(input))).stdout);
  try {
    const { stateMachineArn } = await call('olga', 'CreateStateMachine', { name: 'discount', roleArn: 'arn:aws:iam::000000000000:role/r', definition: JSON.stringify(DISCOUNT) });
    const { executionArn } = await call('olga', 'StartExecution', { stateMachineArn, name: 'offer-1', input: JSON.stringify({ ...NORDLICHT, secret: 'a payload of nobody else' }) });
    const address = (await cli('olga', 'console')).stdout.trim();
    assert.match(address, /\/console\/sign-in#.{43}$/);
    await page.goto(address);
    await page.getByRole('heading', { name: 'Executions' }).waitFor();
    await page.getByText('olga', { exact: true }).waitFor();
    assert.ok(!page.url().includes('#'));
    const other = await browser.newContext();
    const late = watch(await other.newPage());
    await late.goto(address);
    await late.getByText('This code was used already').waitFor();
    await accessible(late, 'a code that was used');
    // A person without the right to see payloads.
    await late.goto('about:blank');
    await late.goto((await cli('viewer', 'console')).stdout.trim());
    await late.getByRole('heading', { name: 'Executions' }).waitFor();
    await late.getByRole('link', { name: 'offer-1' }).click();
    await late.getByText('hidden: you may not see payloads').first().waitFor();
    // What he may not do is not drawn, and is refused by hand.
    for (const name of ['Stop…', 'Start again…', 'Answer…', 'Fork from here…']) assert.equal(await late.getByText(name).count(), 0, name);
    for (const [address, form] of [['', { kind: 'stop' }], ['../bulk/new', { action: 'STOP', q: 'status:running', sure: 'yes' }]]) {
      const status = await late.evaluate(async ([address, form]) => (await fetch(new URL(address, location.href), { method: 'POST', body: new URLSearchParams(form) })).status, [address, form]);
      assert.equal(status, 403, address);
    }
    const seen = [];
    for (const view of ['Graph', 'Events', 'Definition']) {
      await late.getByRole('link', { name: view, exact: true }).click();
      seen.push(await late.content());
    }
    await late.goto(`${server.base}/console/inbox?machine=discount`);
    await late.getByText('You may not answer tasks').waitFor();
    seen.push(await late.content());
    const history = await call('viewer', 'GetExecutionHistory', { executionArn });
    const described = await call('viewer', 'DescribeExecution', { executionArn });
    for (const text of [...seen, JSON.stringify(history), JSON.stringify(described)]) {
      assert.ok(!text.includes('a payload of nobody else') && !text.includes('Nordlicht'), text);
    }
    assert.equal(described.inputDetails.included, false);
    assert.ok(!server.log.includes(address.split('#')[1]), 'the code is in no log');
    await other.close();
  } finally {
    await context.close();
    await server.end();
  }
});

flow('a proxy names the people; nobody else is believed', async ({ browser }) => {
  const server = await new Server({
    REVEILLE__CONSOLE__USER_HEADER: 'X-Forwarded-User', REVEILLE__CONSOLE__GROUPS_HEADER: 'X-Forwarded-Groups',
    REVEILLE__CONSOLE__TRUSTED_PROXIES: '127.0.0.1', REVEILLE__CONSOLE__GROUPS: 'desk=read+complete, viewers=read+no-payload',
  }).start();
  let person = { 'x-forwarded-user': 'olga@example.com', 'x-forwarded-groups': 'people,desk' };
  const proxy = createServer((incoming, outgoing) => {
    const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !name.startsWith('x-forwarded-')));
    const passed = request({ host: '127.0.0.1', port: server.port, method: incoming.method, path: incoming.url, headers: { ...headers, ...person } }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const base = `http://127.0.0.1:${proxy.address().port}`;
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  try {
    server.discount = await server.machine('discount', DISCOUNT);
    const executionArn = await asked(server, 'offer-2');
    await page.goto(`${base}/console/inbox`);
    await page.getByText('olga@example.com', { exact: true }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
    await accessible(page, 'a person of a proxy');
    person = { 'x-forwarded-user': 'ada', 'x-forwarded-groups': 'viewers' };
    await page.goto(`${base}/console/inbox`);
    await page.getByText('You may not answer tasks').waitFor();
    assert.ok(!(await page.content()).includes('Nordlicht'));
    for (person of [{}, { 'x-forwarded-user': 'eve', 'x-forwarded-groups': 'others' }]) {
      assert.equal((await page.goto(`${base}/console/inbox`)).status(), 403);
      await page.getByText('names nobody').waitFor();
    }
    person = { 'x-forwarded-user': 'olga@example.com', 'x-forwarded-groups': 'people,desk' };
    await page.goto(`${base}/console/inbox`);
    await page.getByLabel(/^Reason/).fill('not this time');
    await page.getByRole('button', { name: 'Reject' }).click();
    await page.getByText('Your answer was taken.').waitFor();
    await until('it has ended', async () => (await server.call('DescribeExecution', { executionArn })).status === 'SUCCEEDED');
    assert.ok(server.log.includes('"task.by":"olga@example.com (console)"'), 'the log says who');
  } finally {
    await context.close();
    proxy.closeAllConnections();
    proxy.close();
    await server.end();
  }
});

};
