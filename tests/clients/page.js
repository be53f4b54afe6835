'use strict';
/* page - runs in the browser: the end-to-end specs of tus-js-client's own test bundle, and ours.
 * Each result goes to the page's server, as the suite `browser` wants it. */

const { endpoint, media } = window.target;
const PROTOCOLS = ['tus-v1', 'ietf-draft-03', 'ietf-draft-05'];
const OURS = 'a page of another origin';

function blob(size) {
	const bytes = new Uint8Array(size);
	for (let at = 0; at < size; at += 65536)
		crypto.getRandomValues(bytes.subarray(at, at + 65536));
	return new Blob([bytes]);
}

async function same(one, other) {
	const [a, b] = await Promise.all([one.arrayBuffer(), other.arrayBuffer()]);
	const left = new Uint8Array(a), right = new Uint8Array(b);
	return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

function send(source, options) {
	return new Promise((resolve, reject) => {
		const upload = new tus.Upload(source, {
			endpoint, retryDelays: null, onError: reject,
			onSuccess: ({ lastResponse }) => resolve({ upload, last: lastResponse }),
			...options,
		});
		upload.start();
	});
}

/* The token reaches the page only if CORS lets it. */
async function arrived({ last }, source) {
	const token = last.getHeader('Media-Token');
	expect(token).toBeTruthy();
	const answer = await fetch(`${media}/${token}`);
	expect(answer.status).toBe(200);
	expect(await same(await answer.blob(), source)).toBeTrue();
	return token;
}

describe(OURS, () => {
	beforeEach(() => localStorage.clear());

	for (const protocol of PROTOCOLS) {
		it(`sends a File in chunks (${protocol})`, async () => {
			const file = new File([blob(1000003)], 'słońce.jpg');
			await arrived(await send(file, { protocol, chunkSize: 300000,
				metadata: { filename: file.name } }), file);
		});

		it(`stops, and goes on from the URL in localStorage (${protocol})`, async () => {
			const file = new File([blob(1000003)], 'stopped.jpg');
			const stopped = await new Promise((resolve, reject) => {
				const first = new tus.Upload(file, { endpoint, protocol, chunkSize: 300000,
					retryDelays: null, onError: reject,
					onChunkComplete: () => first.abort().then(() => resolve(first.url)) });
				first.start();
			});
			const [stored] = await new tus.Upload(file, { endpoint, protocol }).findPreviousUploads();
			expect(stored.uploadUrl).toBe(stopped);
			await arrived(await send(file, { protocol, uploadUrl: stored.uploadUrl }), file);
		});

		it(`removes an upload (${protocol})`, async () => {
			const { upload } = await send(blob(1000), { protocol });
			await upload.abort(true);
			expect((await fetch(upload.url)).status).toBe(404);
		});
	}

	it('sends a Blob in four parts side by side', async () => {
		const source = blob(1000003);
		await arrived(await send(source, { parallelUploads: 4 }), source);
	});

	it('sends POST for PATCH, and the data with the creation', async () => {
		const source = blob(500000);
		await arrived(await send(source, { overridePatchMethod: true, uploadDataDuringCreation: true,
			chunkSize: 200000 }), source);
	});

	it('reads the fields of a range', async () => {
		const source = blob(1000);
		const token = await arrived(await send(source, {}), source);
		const answer = await fetch(`${media}/${token}`, { headers: { Range: 'bytes=10-19' } });
		expect(answer.status).toBe(206);
		expect(answer.headers.get('Content-Range')).toBe('bytes 10-19/1000');
		expect(answer.headers.get('ETag')).toMatch(/^"[0-9a-f]{64}"$/);
		expect(answer.headers.get('Repr-Digest')).toMatch(/^sha-256=:/);
	});

	it('is told what is wrong', async () => {
		const answer = await fetch(endpoint, { method: 'POST', headers: { 'Tus-Resumable': '1.0.0' } });
		expect(answer.status).toBe(400);
		expect((await answer.json()).status).toBe(400);
	});
});

/* ---- following ---- */

/* Reads what a token stands for, as it comes. */
class Follower {
	constructor(token) {
		this.pieces = [];
		this.size = 0;
		this.waiting = [];
		this.ended = this.read(token);
		this.ended.catch(() => {}); /* whoever wants to know awaits it */
	}

	async read(token) {
		const answer = await fetch(`${media}/${token}`);
		expect(answer.status).toBe(200);
		this.length = answer.headers.get('Content-Length');
		const reader = answer.body.getReader();
		for (;;) {
			const { done, value } = await reader.read();
			if (done)
				return;
			this.pieces.push(value);
			this.size += value.length;
			this.came = performance.now();
			this.waiting.splice(0).forEach((look) => look());
		}
	}

	/* Until so many bytes have come; it fails if the answer has ended before. */
	async has(size) {
		while (this.size < size)
			await Promise.race([new Promise((resolve) => this.waiting.push(resolve)),
				this.ended.then(() => {
					if (this.size < size)
						throw new Error(`ended after ${this.size} of ${size} bytes`);
				})]);
	}
}

/* Sends in chunks, none of which leaves before those in front of it were heard: an answer that is
 * held back anywhere would wait for ever. */
async function sendAndFollow(source, chunkSize, options) {
	let follower, sent = 0, answered = 0;
	const late = [];
	const all = send(source, {
		chunkSize,
		onBeforeRequest: async (req) => {
			if (req.getMethod() !== 'PATCH')
				return;
			await follower.has(sent);
			late.push(follower.came === undefined ? 0 : follower.came - answered);
			sent += chunkSize;
		},
		onAfterResponse: (req, res) => {
			answered = performance.now();
			follower ??= new Follower(res.getHeader('Media-Token'));
		},
		...options,
	});
	await all;
	await follower.ended;
	return { follower, late };
}

describe(`${OURS}, following an upload`, () => {
	for (const [promise, length, from, options] of [
		['whose length is known', '500000', (source) => source, {}],
		['whose length is told at the end', null, (source) => source.stream().getReader(),
			{ uploadLengthDeferred: true }],
	]) {
		it(`${promise}, has each piece while the next is still to be sent`, async () => {
			const source = blob(500000);
			const { follower, late } = await sendAndFollow(from(source), 100000, options);
			expect(follower.length).toBe(length);
			expect(await same(new Blob(follower.pieces), source)).toBeTrue();
			expect(late.length).toBeGreaterThanOrEqual(5);
			expect(Math.max(...late)).toBeLessThan(2000); /* ms */
		});

		it(`${promise}, learns that it was deleted`, async () => {
			let follower, patches = 0;
			const upload = new tus.Upload(from(blob(500000)), { endpoint, chunkSize: 100000,
				retryDelays: null, ...options,
				onAfterResponse: (req, res) => {
					follower ??= new Follower(res.getHeader('Media-Token'));
				} });
			await new Promise((resolve, reject) => {
				upload.options.onError = reject;
				upload.options.onBeforeRequest = (req) => {
					if (req.getMethod() !== 'PATCH' || ++patches < 2)
						return null;
					resolve();
					return new Promise(() => {}); /* the second one never leaves */
				};
				upload.start();
			});
			await follower.has(100000);
			await tus.Upload.terminate(upload.url);
			await expectAsync(follower.ended).toBeRejected();
			expect(follower.size).toBe(100000);
		});
	}
});

/* ---- runs them ---- */

const tell = (what) => fetch('/said', { method: 'POST', body: JSON.stringify(what) });
const told = [];

jasmine.getEnv().configure({
	random: false,
	specFilter: (spec) => /end-to-end|another origin/.test(spec.getFullName()),
});
jasmine.getEnv().addReporter({
	specDone: ({ fullName, status, failedExpectations }) => {
		if (status !== 'excluded')
			told.push(tell({ name: fullName, passed: status === 'passed',
				why: failedExpectations.map(({ message }) => message) }));
	},
	jasmineDone: ({ overallStatus, failedExpectations }) => Promise.all(told).then(() => tell({
		done: overallStatus, why: (failedExpectations || []).map(({ message }) => message) })),
});
jasmine.getEnv().execute();
