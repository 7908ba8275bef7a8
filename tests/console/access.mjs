// Every page for everybody: by keys alone, in a narrow window, at 200 %, without scripts, in another time zone, with
// hostile text. Run by flows.mjs.

import assert from 'node:assert/strict';
import { request } from 'node:http';

export const access = ({ flow, until, watch, ask, Server, EVIL }) => {
  /** An execution's address below `console/`. */
  const addressOf = async (page, server, name) => {
    await page.goto(`${server.base}/console/executions?q=${encodeURIComponent(name)}`);
    return page.getByRole('link', { name, exact: true }).getAttribute('href');
  };
  /** All kinds of pages, with something on each. */
  const addresses = async (page, server) => {
    const failed = await addressOf(page, server, 'forty');
    const waiting = await addressOf(page, server, 'order-0818');
    await page.goto(`${server.base}/console/${failed}`);
    const run = await page.getByRole('link', { name: 'Its Map Run…' }).getAttribute('href');
    await page.goto(`${server.base}/console/bulk`);
    const bulk = await page.locator('tbody a').first().getAttribute('href');
    return [
      'executions', 'executions?q=machine:fulfil-order', waiting, `${waiting}?view=events`, `${waiting}?view=definition`, `${waiting}/fork`,
      failed, `executions/${run}`, 'bulk', 'bulk/new?action=STOP&q=machine:fulfil-order', bulk, 'inbox', 'inbox?machine=fulfil-order', 'inbox?machine=discount',
      'inbox/answered', 'machines', 'machines/fulfil-order', 'machines/fulfil-order/edit', 'machines/written-here/diff?from=1&to=2', 'new-machine',
      'queues', 'parked', 'system', '../a',
    ];
  };
  const isNotTooWide = async (page, address) => {
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= room + 1, `${address} is ${wide} wide in ${room}`);
  };

  flow('a narrow window of 320 pixels loses nothing, on any page', async ({ browser, page: first, server }) => {
    const context = await browser.newContext({ viewport: { width: 320, height: 640 } });
    const page = watch(await context.newPage());
    for (const address of await addresses(first, server)) {
      assert.equal((await page.goto(`${server.base}/console/${address}`)).status(), 200, address);
      await isNotTooWide(page, address);
    }
    await context.close();
  });

  flow('at 200 %, with less motion, in German and the time zone of Berlin', async ({ browser, page: first, server }) => {
    // A window of 1360 pixels at 200 % has room for 680.
    const context = await browser.newContext({
      viewport: { width: 680, height: 450 }, deviceScaleFactor: 2, reducedMotion: 'reduce', locale: 'de-DE', timezoneId: 'Europe/Berlin',
    });
    const page = watch(await context.newPage());
    for (const address of await addresses(first, server)) {
      await page.goto(`${server.base}/console/${address}`);
      await isNotTooWide(page, address);
    }
    await page.goto(`${server.base}/console/executions`);
    const time = page.locator('tbody time').first();
    const [utc, shown, title] = await time.evaluate((time) => [time.dateTime, time.textContent, time.title]);
    const local = new Date(utc).toLocaleTimeString('de-DE', { timeZone: 'Europe/Berlin', hour: '2-digit', minute: '2-digit', second: '2-digit' });
    assert.ok(shown.includes(local), `${shown} is not ${local}`);
    assert.match(title, /UTC/);
    const moves = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moves, 0);
    await context.close();
  });

  flow('by keys alone: searched, opened, a state chosen, stopped, forked, and a bulk action confirmed', async ({ page, server }) => {
    const arn = await server.machine('keys-alone', { StartAt: 'First', States: {
      First: { Type: 'Pass', Next: 'Then' }, Then: { Type: 'Wait', Seconds: 36_000, End: true },
    } });
    await server.start_execution(arn, 'by-keys');
    /** Goes on with Tab until this has the focus. */
    const reach = async (locator, within = 120) => {
      await locator.waitFor();
      for (let n = 0; n < within; n += 1) {
        if (await locator.evaluate((node) => node === document.activeElement)) return;
        await page.keyboard.press('Tab');
      }
      assert.fail(`not reached by Tab: ${locator}`);
    };
    const press = async (locator, key = 'Enter') => { await reach(locator); await page.keyboard.press(key); };
    await page.goto(`${server.base}/console/executions`);
    await page.keyboard.press('/');
    await page.keyboard.type('machine:keys-alone');
    await page.keyboard.press('Enter');
    await press(page.getByRole('link', { name: 'by-keys' }));
    await page.getByRole('heading', { name: /by-keys/ }).waitFor();
    await press(page.locator('g.state[data-state="/States/First"] > a'));
    await page.locator('[data-live=panel] h2').getByText('First').waitFor();
    await press(page.locator('[data-live=panel]').getByRole('link', { name: 'Output' }));
    await press(page.getByText('Stop…'));
    await reach(page.getByLabel(/^Why/));
    await page.keyboard.type('by keys');
    await press(page.getByRole('button', { name: 'Stop the execution' }));
    await page.getByText('The execution was stopped.').waitFor();
    await press(page.getByRole('link', { name: 'Fork from here…' }));
    await reach(page.getByLabel('Name'));
    await page.keyboard.type('by-keys-again');
    await press(page.getByRole('button', { name: 'Start the fork' }));
    await page.getByText('The fork was started.').waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('e');
    await page.getByRole('heading', { name: 'Executions' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('machine:keys-alone status:running');
    await page.keyboard.press('Enter');
    await press(page.getByRole('link', { name: 'Act on all of these…' }));
    await press(page.getByLabel('Yes, stop 1 execution'), 'Space');
    await press(page.getByRole('button', { name: 'Stop them' }));
    await page.getByText('1 of 1 stopped', { exact: true }).waitFor();
    // The way past the navigation is the first stop.
    await page.goto(`${server.base}/console/system`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  });

  flow('without scripts every page is there, and a bulk action, a fork and a machine are made', async ({ browser, page: first, server }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = watch(await context.newPage());
    for (const address of await addresses(first, server)) {
      const answer = await page.goto(`${server.base}/console/${address}`);
      assert.equal(answer.status(), 200, address);
      assert.ok(await page.locator('h1').count() > 0, address);
    }
    await server.start_execution(server.order, 'no-scripts', { risk: 2 });
    const address = await addressOf(first, server, 'no-scripts');
    await page.goto(`${server.base}/console/${address}/fork?state=Fraud%20risk%3F`);
    await page.getByLabel('Name').fill('no-scripts-fork');
    await page.getByRole('button', { name: 'Start the fork' }).click();
    await page.getByText('The fork was started.').waitFor();
    await page.goto(`${server.base}/console/new-machine`);
    await page.getByLabel('Name').fill('no-scripts');
    await page.getByLabel('Definition', { exact: true }).fill('{"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 36000, "End": true}}}');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('It was saved.').waitFor();
    await page.goto(`${server.base}/console/machines/no-scripts`);
    await page.getByText('Start…').click();
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByText('The execution was started.').waitFor();
    await page.goto(`${server.base}/console/bulk/new?action=STOP&q=machine:no-scripts+status:running`);
    await page.getByLabel('Yes, stop 1 execution').check();
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.getByRole('region', { name: 'Progress' }).waitFor();
    await until('it has ended', async () => {
      await page.reload();
      return await page.getByText('1 of 1 stopped', { exact: true }).count() === 1;
    });
    await context.close();
  });

  flow('hostile text in forms, definitions, errors, Map Runs, parked messages and queries stays text', async ({ page, server }) => {
    const isText = async (address) => {
      await page.goto(`${server.base}/console/${address}`);
      assert.ok((await page.content()).includes('onerror'), `${address} shows the text: ${await page.locator('main').textContent()}`);
      assert.equal(await page.locator('img, main script').count(), 0, address);
    };
    const short = EVIL.slice(0, 70);
    const form = await server.machine('hostile-form', { StartAt: 'Ask', States: { Ask: {
      Type: 'Task', Resource: 'arn:aws:states:::reveille:ask.waitForTaskToken', End: true,
      Parameters: { Form: {
        Title: EVIL, Text: EVIL, For: [EVIL], Show: [{ Label: EVIL, Value: EVIL }],
        Schema: { type: 'object', properties: { evil: { type: 'string', title: EVIL, description: EVIL, default: EVIL }, one: { type: 'string', enum: [EVIL, 'b'] } } },
        Actions: [{ Label: EVIL, Success: { [EVIL]: EVIL } }],
      } },
    } } });
    await server.start_execution(form, 'hostile-form-1');
    await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { stateMachineArn: form })).tasks.length === 1);
    await isText('inbox?machine=hostile-form');
    await page.locator('.tasks').getByText('onerror').first().waitFor();
    await page.locator('form.answer').getByRole('button').first().click();
    await page.getByText('Your answer was taken.').waitFor();
    await isText('inbox/answered');
    const run = await server.machine('hostile-run', { StartAt: EVIL.slice(0, 70), States: { [short]: {
      Type: 'Map', ToleratedFailureCount: 9, ResultPath: null, End: true,
      ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' }, StartAt: 'Bad', States: { Bad: { Type: 'Fail', Error: EVIL, Cause: EVIL } } },
    } } });
    await server.start_execution(run, 'hostile-run-1', [1, 2]);
    const address = await addressOf(page, server, 'hostile-run-1');
    await until('it has ended', async () => { await page.goto(`${server.base}/console/${address}`); return await page.getByText('It has succeeded').count(); });
    await isText(address);
    await isText(`executions/${await page.getByRole('link', { name: 'Its Map Run…' }).getAttribute('href')}`);
    await isText(`${address}/fork`);
    await isText(`executions?q=${encodeURIComponent(EVIL)}`);
    await isText(`bulk/new?action=STOP&q=${encodeURIComponent(EVIL)}`);
    await isText(`${address}?view=events&find=${encodeURIComponent(EVIL)}`);
    await server.call('Reveille.StartBulkAction', { action: 'STOP', query: `machine:${JSON.stringify(EVIL)}`, cause: EVIL });
    await isText('bulk');
    await page.goto(`${server.base}/console/new-machine`);
    await page.getByLabel('Name').fill(EVIL.slice(0, 60));
    await page.getByLabel('Definition', { exact: true }).fill(JSON.stringify({ Comment: EVIL, StartAt: EVIL, States: { [EVIL]: { Type: EVIL } } }));
    for (const button of ['Check', 'Save']) {
      await page.getByRole('button', { name: button }).click();
      await page.getByText(/onerror/).first().waitFor();
      assert.equal(await page.locator('img, main script').count(), 0, button);
    }
    if (!process.env.REVEILLE_TEST_AMQP_URL) return;
    const parcels = await server.machine('hostile-parcel', { StartAt: 'Weigh', States: { Weigh: ask('scales', { End: true }) } });
    const { executionArn } = await server.start_execution(parcels, 'hostile-late');
    await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { executionArn })).tasks[0]?.submitted);
    await server.call('StopExecution', { executionArn });
    const worker = server.spawn(['worker', 'scales', '--exec', process.execPath, '--', '-e', `console.log(JSON.stringify({ evil: ${JSON.stringify(EVIL)} }))`]);
    await until('it is parked', async () => { await page.goto(`${server.base}/console/parked`); return await page.locator('tbody tr').count() === 1; });
    worker.kill('SIGKILL');
    const [message] = (await server.call('Reveille.ListParkedMessages', {})).messages;
    assert.match(message.from, /replies/, JSON.stringify(message));
    await isText(`parked/${message.id}`);
    // All of a verdict, as a job.
    await page.goto(`${server.base}/console/bulk/new?action=REPLAY&q=verdict:${message.verdict}`);
    await page.getByLabel('Yes, send 1 message again').check();
    await page.getByRole('button', { name: 'Send them again' }).click();
    await page.getByText('1 of 1 sent again', { exact: true }).waitFor();
    await server.call('Reveille.PurgeParkedMessages', { all: true });
  });

  flow('a request with a foreign Host is refused, for pages and for the API', async ({ server }) => {
    const asked = (method, path, headers = {}) => new Promise((done, failed) => {
      const call = request({ host: '127.0.0.1', port: server.port, method, path, headers }, (answer) => { answer.resume(); done(answer.statusCode); });
      call.on('error', failed);
      call.end();
    });
    assert.equal(await asked('GET', '/console/executions'), 200);
    for (const path of ['/console/executions', '/console/live?topics=executions', '/a', '/console/machines/fulfil-order']) {
      assert.equal(await asked('GET', path, { host: 'evil.example' }), 421, path);
    }
    const target = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AWSStepFunctions.ListStateMachines' };
    for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }]) {
      assert.equal(await asked('POST', '/', { ...target, ...headers }), 403, JSON.stringify(headers));
    }
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'null' }, {}]) {
      const status = await asked('POST', '/console/machines/fulfil-order', { 'content-type': 'application/x-www-form-urlencoded', ...headers });
      assert.ok([403, 421].includes(status), `${JSON.stringify(headers)}: ${status}`);
    }
  });
};
