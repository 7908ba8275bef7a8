// Pages beside the inbox: forks, families, Maps, parked messages, definitions, the server itself. Run by flows.mjs.

import assert from 'node:assert/strict';

export const pages = ({ flow, until, watch, accessible, picture, ask, Server, BROKEN }) => {
  flow('an execution is forked from a state with another input, and both say what came of what', async ({ page, server }) => {
    await server.start_execution(server.order, 'order-0830', { risk: 90 });
    await page.goto(`${server.base}/console/executions?q=order-0830`);
    await page.getByRole('link', { name: 'order-0830' }).click();
    await page.getByText('Waits for 1 answer').waitFor();
    await page.locator('g.state[data-state="/States/Fraud risk?"] a').click();
    await page.getByRole('link', { name: 'Fork from here…' }).click();
    await page.getByRole('heading', { name: 'Begin at Fraud risk?' }).waitFor();
    assert.match(await page.getByLabel(/^Input of the state/).inputValue(), /"risk": 90/);
    await accessible(page, 'a fork');
    await page.getByLabel(/^Input of the state/).fill('{"risk": ');
    await page.getByLabel('Name').fill('order-0830-low-risk');
    await page.getByRole('button', { name: 'Start the fork' }).click();
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByLabel(/^Input of the state/).inputValue(), '{"risk":', 'what was typed is kept');
    assert.equal(await page.getByLabel('Name').inputValue(), 'order-0830-low-risk');
    await page.getByLabel(/^Input of the state/).fill('{"risk": 5, "order": "0830"}');
    await picture(page, 'fork');
    await page.getByRole('button', { name: 'Start the fork' }).click();
    await page.getByText('The fork was started.').waitFor();
    await page.locator('[data-live=sentence]').getByText('It has succeeded').waitFor();
    assert.match(await page.locator('[data-live=head]').textContent(), /forked from order-0830 at Fraud risk\?/);
    await page.getByRole('link', { name: 'order-0830', exact: true }).click();
    const forks = page.getByRole('region', { name: 'Forks' });
    await forks.getByRole('link', { name: 'order-0830-low-risk' }).waitFor();
    assert.match(await page.locator('[data-live=sentence]').textContent(), /Waits for 1 answer/, 'the source goes on as it did');
    await accessible(page, 'an execution with forks');
    const waits = page.getByRole('button', { name: 'Stop the execution' });
    await page.getByText('Stop…').click();
    await waits.click();
    await page.getByText('The execution was stopped.').waitFor();
  });

  flow('the search knows state, time, version, parent and redrive; a view is saved and forgotten', async ({ page, server }) => {
    const search = async (query) => {
      await page.goto(`${server.base}/console/executions?q=${encodeURIComponent(query)}`);
      return page.locator('[data-live=rows] tbody tr').count();
    };
    const child = await server.machine('child-of', { StartAt: 'Ask', States: { Ask: ask('fraud-desk', { End: true }) } });
    const parent = await server.machine('parent-of', { StartAt: 'Run', States: {
      Run: { Type: 'Task', Resource: 'arn:aws:states:::states:startExecution.sync:2', Parameters: { StateMachineArn: child, Name: 'the-child', Input: {} }, End: true },
    } });
    await server.start_execution(parent, 'the-parent');
    await until('the child is found by its parent', async () => await search('parent:parent-of:the-parent') === 1);
    await page.getByRole('link', { name: 'the-child' }).waitFor();
    await until('and by the state that waits', async () => await search('machine:child-of state:Ask') === 1);
    assert.equal(await search('machine:child-of state:Other'), 0);
    assert.equal(await search('machine:child-of took:>1d'), 0);
    assert.equal(await search('machine:child-of took:<1d'), 1);
    assert.ok(await search('redriven:yes') >= 1);
    assert.equal(await search('machine:child-of redriven:yes'), 0);
    const { stateMachineVersionArn } = await server.call('PublishStateMachineVersion', { stateMachineArn: child });
    await server.start_execution(stateMachineVersionArn, 'of-version-1');
    assert.equal(await search('machine:child-of version:1'), 1);
    await search('version:1');
    await page.getByText('say of which machine').waitFor();
    await search('machine:child-of state:Ask');
    await accessible(page, 'a search');
    await page.getByRole('button', { name: 'Save this view' }).click();
    await page.goto(`${server.base}/console/executions`);
    await page.getByRole('link', { name: 'machine:child-of state:Ask' }).click();
    await page.getByRole('link', { name: 'the-child' }).waitFor();
    await accessible(page, 'a saved view');
    await page.getByRole('button', { name: 'Forget the view machine:child-of state:Ask' }).click();
    await page.getByRole('button', { name: 'Save this view' }).waitFor();
    // Both ends of the family name each other.
    await page.getByRole('link', { name: 'the-child' }).click();
    await page.locator('[data-live=head]').getByRole('link', { name: 'the-parent' }).click();
    await page.getByRole('region', { name: 'Children' }).getByRole('link', { name: 'the-child' }).waitFor();
  });

  flow('a Map shows its items as one strip, and its Map Run lists the failed ones first', async ({ page, server }) => {
    const item = (more) => ({ Type: 'Map', ItemProcessor: { ...more, StartAt: 'Odd?', States: {
      'Odd?': { Type: 'Choice', Default: 'Good', Choices: [{ Variable: '$', NumericEquals: 7, Next: 'Bad' }] },
      Good: { Type: 'Succeed' }, Bad: { Type: 'Fail', Error: 'Item.Broken' },
    } } });
    const inline = await server.machine('map-inline', { StartAt: 'Each', States: { Each: { ...item({}), End: true } } });
    await server.start_execution(inline, 'nine', [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const open = async (name) => {
      await page.goto(`${server.base}/console/executions?q=${name}`);
      await page.getByRole('link', { name, exact: true }).click();
    };
    await open('nine');
    await page.getByText('It failed with Item.Broken').waitFor();
    await page.goto(`${page.url().split('?')[0]}?view=graph&state=/States/Each`);
    await page.locator('[data-live=panel]').getByText(/of 9 done, 1 failed/).waitFor();
    assert.match(await page.locator('g.state.map title').first().textContent(), /Each, failed, .* of 9 done, 1 failed/);
    assert.equal(await page.locator('.strip rect').count(), 9);
    await accessible(page, 'a Map');
    const config = { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } };
    const distributed = await server.machine('map-distributed', {
      StartAt: 'Each', States: { Each: { ...item(config), ToleratedFailureCount: 3, ResultPath: null, End: true } },
    });
    await server.start_execution(distributed, 'forty', [...Array(40).keys()]);
    await open('forty');
    await page.locator('[data-live=sentence]').getByText('It has succeeded').waitFor();
    await page.getByRole('link', { name: 'Its Map Run…' }).click();
    await page.getByText('39 of 40 done, 1 failed').waitFor();
    assert.equal(await page.locator('.strip rect.failed').count(), 1);
    assert.match(await page.locator('tbody tr').first().textContent(), /^7.*failed/);
    await accessible(page, 'a Map Run');
    await picture(page, 'map-run');
    await page.locator('tbody tr a').first().click();
    await page.getByText('It failed with Item.Broken').waitFor();
    await page.getByRole('link', { name: /item 7 of a Map Run/ }).click();
    await page.getByRole('link', { name: /^succeeded 39/i }).click();
    assert.equal(await page.locator('tbody tr').count(), 39);
    const children = async (query) => {
      const answer = await page.goto(`${server.base}/console/executions?q=${encodeURIComponent(query)}`);
      assert.equal(answer.headers()['content-encoding'], 'gzip');
      return page.locator('tbody tr').getByRole('link', { name: /^map-distributed\// }).count();
    };
    assert.equal(await children('machine:map-distributed'), 0, 'the machine itself has one execution');
    assert.equal(await children('started:>2020-01-01'), 0);
    assert.equal(await children('maprun:all'), 40);
    const runs = await server.call('ListMapRuns', { stateMachineArn: distributed, executionArn: distributed.replace(':stateMachine:', ':execution:').concat(':forty') });
    assert.equal(await children(`maprun:${runs.mapRuns[0].mapRunArn} status:failed`), 1);
  });

  flow('a machine is made, mended where the editor says, published, compared, and given an alias', async ({ page, server }) => {
    await page.goto(`${server.base}/console/machines`);
    await page.getByRole('link', { name: 'New…' }).click();
    await page.getByLabel('Name').fill('written-here');
    const definition = (pass) => `{\n  "StartAt": "One",\n  "States": {\n    "One": { "Type": "${pass}", "End": true }\n  }\n}`;
    await page.getByLabel('Definition', { exact: true }).fill(definition('Pas'));
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByText(/^Line 4: /).first().waitFor();
    assert.equal(await page.getByLabel('Definition', { exact: true }).inputValue(), definition('Pas'), 'what was typed is kept');
    await accessible(page, 'the editor with an error');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').first().waitFor();
    await page.getByLabel('Definition', { exact: true }).fill(definition('Pass'));
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByText('The definition has no errors and no warnings.').waitFor();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('It was saved.').waitFor();
    await page.getByRole('button', { name: 'Publish a version' }).click();
    await page.getByText('It was saved.').waitFor();
    await page.getByRole('link', { name: 'Edit…' }).click();
    await page.getByLabel('Definition', { exact: true }).fill(definition('Succeed').replace(', "End": true', ''));
    await page.getByLabel('Publish as a version').check();
    await page.getByRole('button', { name: 'Check' }).click();
    await page.getByText('The definition has no errors and no warnings.').waitFor();
    await accessible(page, 'the editor');
    await picture(page, 'editor');
    await page.getByLabel('Publish as a version').check();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('link', { name: 'Compare them' }).click();
    await page.getByText('They are the same.').waitFor();
    await page.getByLabel('From').selectOption('1');
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.getByText('3 lines differ.').waitFor();
    assert.match(await page.locator('.difference del').first().textContent(), /^- .*Pass/);
    assert.match(await page.locator('.difference ins').textContent(), /^\+ .*Succeed/);
    await accessible(page, 'a difference');
    await page.getByRole('link', { name: 'Back' }).click();
    await page.getByText('Alias…').click();
    await page.getByLabel(/^Name/).last().fill('live');
    await page.getByLabel('Version', { exact: true }).selectOption('2');
    await page.getByLabel(/^Its weight/).fill('90');
    await page.getByLabel(/^The other version/).selectOption('1');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('version 2: 90 %').waitFor();
    await page.getByText('version 1: 10 %').waitFor();
  });

  flow('viewers beyond the bound are shown the same, a little later', async ({ browser }) => {
    const server = await new Server({ REVEILLE__CONSOLE__VIEWERS_MAX: '0' }).start();
    const context = await browser.newContext();
    const page = watch(await context.newPage());
    try {
      await page.goto(`${server.base}/console/executions`);
      await page.getByText('not live').waitFor();
      const arn = await server.machine('late', BROKEN);
      await server.start_execution(arn, 'seen-late');
      await page.getByRole('link', { name: 'seen-late' }).waitFor();
    } finally {
      await context.close();
      await server.end();
    }
  });

  flow('a refused reply is parked with its reason, shown without its token, sent again, and deleted after a confirmation', async ({ page, server }) => {
    await page.goto(`${server.base}/console/parked`);
    await page.getByText('Nothing is parked.').waitFor();
    await accessible(page, 'nothing parked');
    if (!process.env.REVEILLE_TEST_AMQP_URL) return;
    const arn = await server.machine('parcel-desk', { StartAt: 'Weigh', States: { Weigh: ask('scales', { End: true }) } });
    for (const name of ['late-1', 'late-2']) {
      const { executionArn } = await server.start_execution(arn, name);
      await until('it waits', async () => (await server.call('Reveille.ListWaitingTasks', { executionArn })).tasks[0]?.submitted);
      await server.call('StopExecution', { executionArn });
    }
    // The worker comes when it is too late.
    const program = 'console.log(JSON.stringify({ weight: 7, token: process.env.REVEILLE_TASK_TOKEN }))';
    const worker = server.spawn(['worker', 'scales', '--exec', process.execPath, '--', '-e', program]);
    await until('both are parked', async () => {
      await page.reload();
      return await page.locator('tbody tr').count() === 2;
    });
    worker.kill('SIGKILL');
    await accessible(page, 'parked messages');
    await picture(page, 'parked');
    await page.locator('tbody a').first().click();
    await page.getByText('"weight": 7').waitFor();
    assert.match(await page.locator('pre').first().textContent(), /\(token [^)]+\)/, 'the token is masked');
    await accessible(page, 'a parked message');
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.getByText('The messages were sent again.').waitFor();
    await until('it is refused once more', async () => {
      await page.reload();
      return await page.locator('tbody tr').count() === 2;
    });
    await page.getByText('Delete…').click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    assert.equal(await page.locator('tbody tr').count(), 2, 'nothing goes without the check mark');
    await page.getByLabel('Yes, delete 2 messages').check();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByText('The messages were deleted.').waitFor();
    await page.getByText('Nothing is parked.').waitFor();
  });

  flow('the system page tells health, figures and settings, and no secret', async ({ page, server }) => {
    await page.goto(`${server.base}/console/system`);
    await page.getByText('All that it needs is there.').waitFor();
    await page.getByText('bus.prefix').waitFor();
    const text = await page.content();
    for (const secret of ['guest:guest', 'secret-0123456789']) assert.ok(!text.includes(secret), secret);
    await accessible(page, 'the system page');
    await picture(page, 'system');
  });
};
