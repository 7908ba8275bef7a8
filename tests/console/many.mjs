// Many at once: bulk actions, a history of 25,000 events, a Map of 10,000 items; workers that come and go. Run by flows.mjs.

import assert from 'node:assert/strict';

const LOOPS = 6_190;
const COUNTS = { StartAt: 'Count', States: {
  Count: { Type: 'Pass', Parameters: { 'n.$': 'States.MathAdd($.n, 1)' }, Next: 'Enough?' },
  'Enough?': { Type: 'Choice', Default: 'The end', Choices: [{ Variable: '$.n', NumericLessThan: LOOPS, Next: 'Count' }] },
  'The end': { Type: 'Succeed' },
} };

const open = async (page, server, name, more = '') => {
  await page.goto(`${server.base}/console/executions?q=${more}${name}`);
  await page.getByRole('link', { name, exact: true }).click();
};

export const many = ({ flow, until, watch, accessible, picture, ask, Server }) => {

  flow('the graph of an execution changes while a worker answers, without a reload', async ({ page, server }) => {
    if (!process.env.REVEILLE_TEST_AMQP_URL) return;
    const arn = await server.machine('two-desks', { StartAt: 'Weigh', States: {
      Weigh: ask('scales', { ResultPath: null, Next: 'Weigh again' }), 'Weigh again': ask('scales', { End: true }),
    } });
    await server.start_execution(arn, 'parcel-live');
    await open(page, server, 'parcel-live');
    await page.locator('g.state.waiting[data-state="/States/Weigh"]').waitFor();
    await page.locator('.pulse.on').waitFor();
    await page.evaluate(() => { window.kept = true; });
    const worker = server.spawn(['worker', 'scales', '--exec', process.execPath, '--', '-e', 'console.log(JSON.stringify({ weight: 7 }))']);
    try {
      await page.locator('g.state.done[data-state="/States/Weigh"]').waitFor();
      await page.locator('g.state.done[data-state="/States/Weigh again"]').waitFor();
      await page.locator('[data-live=sentence]').getByText('It has succeeded').waitFor();
      assert.equal(await page.evaluate(() => window.kept), true, 'the page was not loaded again');
    } finally {
      worker.kill('SIGKILL');
    }
  });

  flow('a consumer that goes away is missed on the page', async ({ page, server }) => {
    if (!process.env.REVEILLE_TEST_AMQP_URL) return;
    const arn = await server.machine('slow-desk', { StartAt: 'Ponder', States: { Ponder: ask('slow', { End: true }) } });
    await server.start_execution(arn, 'pondered');
    // It takes the task and gives no answer; it ends with its worker.
    const worker = server.spawn(['worker', 'slow', '--exec', process.execPath, '--', '-e', 'process.stdin.resume(); setTimeout(() => {}, 600000); process.stdin.on("end", () => setInterval(() => { if (process.ppid === 1) process.exit(0); }, 500))']);
    await open(page, server, 'pondered');
    const sentence = page.locator('[data-live=sentence]');
    await sentence.getByText('1 consumer').waitFor();
    worker.kill('SIGKILL');
    const gone = Date.now();
    await sentence.getByText('no consumer').waitFor();
    console.log(`        the page said "no consumer" after ${Date.now() - gone} ms`);
    await server.call('StopExecution', { executionArn: `${arn.replace(':stateMachine:', ':execution:')}:pondered` });
  });

  flow('all that a search finds is stopped, and redriven, after its number was shown and confirmed', async ({ page, server }) => {
    const arn = await server.machine('bulk-desk', { StartAt: 'Ask', States: { Ask: { Type: 'Wait', Seconds: 36_000, End: true } } });
    for (let n = 0; n < 70; n += 1) await server.start_execution(arn, `bulk-${n}`);
    await server.start_execution(arn, 'other-1');
    await page.goto(`${server.base}/console/executions?q=${encodeURIComponent('machine:bulk-desk bulk-')}`);
    await page.getByRole('link', { name: 'Act on all of these…' }).click();
    await page.getByRole('heading', { name: 'Stop 70 executions' }).waitFor();
    await accessible(page, 'a bulk action that is planned');
    await picture(page, 'bulk-plan');
    // The box is not checked: the browser holds it back, and so does the server.
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.locator('form.answer').evaluate((form) => { form.noValidate = true; });
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.getByText('Nothing was done: it was not confirmed.').waitFor();
    await page.getByLabel(/^Why/).fill('called off');
    await page.getByLabel('Yes, stop 70 executions').check();
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.getByText('70 of 70 stopped', { exact: true }).waitFor();
    await page.getByText('None has refused it.').waitFor();
    await accessible(page, 'a bulk action');
    await picture(page, 'bulk');
    const { executions } = await server.call('ListExecutions', { stateMachineArn: arn, maxResults: 100 });
    assert.equal(executions.filter(({ status }) => status === 'ABORTED').length, 70);
    assert.equal(executions.find(({ name }) => name === 'other-1').status, 'RUNNING');
    const { cause } = await server.call('DescribeExecution', { executionArn: executions.find(({ name }) => name === 'bulk-3').executionArn });
    assert.equal(cause, 'called off');
    await page.getByRole('link', { name: 'Executions of this query' }).click();
    await page.getByRole('link', { name: 'Act on all of these…' }).click();
    await page.getByRole('link', { name: 'Redrive', exact: true }).click();
    await page.getByLabel('Yes, redrive 70 executions').check();
    await page.getByRole('button', { name: 'Redrive them' }).click();
    await page.getByText('70 of 70 redriven', { exact: true }).waitFor();
    await page.goto(`${server.base}/console/bulk`);
    assert.equal(await page.locator('tbody tr').count(), 2);
    await accessible(page, 'bulk actions');
    // A word that is not understood does not become "all".
    await page.goto(`${server.base}/console/bulk/new?action=STOP&q=${encodeURIComponent('machine:bulk-desk colour:red')}`);
    await page.getByText('The query is not understood').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Stop them' }).count(), 0);
    await page.goto(`${server.base}/console/bulk/new?action=STOP&q=`);
    await page.getByText('Which ones?').waitFor();
  });

  flow('a bulk action goes on after its server was killed', async ({ browser }) => {
    const server = await new Server().start();
    const context = await browser.newContext();
    const page = watch(await context.newPage());
    try {
      const arn = await server.machine('bulk-desk', { StartAt: 'Ask', States: { Ask: { Type: 'Wait', Seconds: 36_000, End: true } } });
      for (let n = 0; n < 200; n += 1) await server.start_execution(arn, `bulk-${n}`);
      await page.goto(`${server.base}/console/bulk/new?action=STOP&q=machine:bulk-desk`);
      await page.getByLabel('Yes, stop 200 executions').check();
      await page.getByRole('button', { name: 'Stop them' }).click();
      await page.getByRole('region', { name: 'Progress' }).waitFor();
      await server.stop('SIGKILL');
      await server.start();
      await page.getByText('done', { exact: true }).or(page.getByText('done, with refusals')).waitFor();
      const { executions } = await server.call('ListExecutions', { stateMachineArn: arn, maxResults: 1000 });
      assert.ok(executions.length === 200 && executions.every(({ status }) => status === 'ABORTED'));
    } finally {
      await context.close();
      await server.end();
    }
  });
};

/** Last of all: what they leave behind fills the lists. */
export const large = ({ flow, until, accessible, picture }) => {
  flow('a history of 25,000 events opens, scrolls, is searched and jumped in', async ({ page, server }) => {
    const arn = await server.machine('long-story', COUNTS);
    const { executionArn } = await server.start_execution(arn, 'long-one', { n: 0 });
    await until('it has ended', async () => (await server.call('DescribeExecution', { executionArn })).status === 'SUCCEEDED');
    await page.goto(`${server.base}/console/executions?q=long-one`);
    const address = await page.getByRole('link', { name: 'long-one' }).getAttribute('href');
    const timed = async (query, text) => {
      const began = Date.now();
      await page.goto(`${server.base}/console/${address}${query}`);
      await page.getByText(text).first().waitFor();
      return Date.now() - began;
    };
    const took = [await timed('', 'It has succeeded'), await timed('', 'It has succeeded'), await timed('?view=events', 'ExecutionSucceeded')];
    assert.equal(await page.locator('tbody tr').count(), 200);
    const frames = await page.evaluate(() => new Promise((done) => {
      const gaps = [];
      let last = performance.now();
      const step = (now) => {
        gaps.push(now - last);
        last = now;
        scrollBy(0, 160);
        if (scrollY + innerHeight < document.documentElement.scrollHeight - 2) requestAnimationFrame(step);
        else done(gaps.sort((a, b) => a - b));
      };
      requestAnimationFrame(step);
    }));
    const at = (part) => Math.round(frames[Math.min(frames.length - 1, Math.floor(frames.length * part))]);
    console.log(`        graph ${took[0]} ms, again ${took[1]} ms, events ${took[2]} ms; ${frames.length} frames, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
    await page.getByRole('link', { name: 'Older events' }).click();
    await page.locator('tbody tr').first().waitFor();
    await page.getByLabel('from event').fill('12000');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.locator('tbody tr td').first().getByText('12000').waitFor();
    await accessible(page, 'a page of a long history');
    await page.getByLabel('from event').fill('');
    await page.getByLabel('Find').fill('the END');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByRole('link', { name: 'Newest events' }).waitFor();
    assert.equal(await page.locator('tbody tr').count(), 2, 'entered and left');
    await page.getByLabel('Find').fill('no such state');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('No event matches.').waitFor();
    await accessible(page, 'a search in a history that finds nothing');
  });

  flow('a Map of 10,000 items is one box with counts, and its run opens', async ({ page, server }) => {
    const arn = await server.machine('map-of-many', { StartAt: 'Each', States: { Each: {
      Type: 'Map', ToleratedFailureCount: 5, ResultPath: null, End: true,
      ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'EXPRESS' }, StartAt: 'Odd?', States: {
        'Odd?': { Type: 'Choice', Default: 'Good', Choices: [{ Variable: '$', NumericEquals: 7003, Next: 'Bad' }] },
        Good: { Type: 'Succeed' }, Bad: { Type: 'Fail', Error: 'Item.Broken' },
      } },
    } } });
    const { executionArn } = await server.start_execution(arn, 'ten-thousand', [...Array(10_000).keys()]);
    await until('it has ended', async () => (await server.call('DescribeExecution', { executionArn })).status === 'SUCCEEDED', 300_000);
    const began = Date.now();
    await open(page, server, 'ten-thousand', 'machine:map-of-many+');
    await page.locator('svg.graph').waitFor();
    console.log(`        opened in ${Date.now() - began} ms`);
    assert.match(await page.locator('g.state.map > a > title').textContent(), /9,999 of 10,000 done, 1 failed/);
    assert.deepEqual(await page.locator('svg.graph rect.part').evaluateAll((parts) => parts.map((part) => part.getAttribute('class'))), ['part failed', 'part done']);
    await page.locator('[data-live=panel]').getByText('9,999 of 10,000 done, 1 failed').waitFor();
    await accessible(page, 'a Map of many');
    await picture(page, 'map-of-many');
    await page.getByRole('link', { name: 'Its Map Run…' }).click();
    await page.getByText('9,999 of 10,000 done, 1 failed').waitFor();
    assert.equal(await page.locator('.strip rect').count(), 160);
    assert.equal(await page.locator('.strip rect.failed').count(), 1);
    await accessible(page, 'the run of a Map of many');
  });
};
