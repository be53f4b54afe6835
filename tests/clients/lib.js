'use strict';
/* lib - what the client suites share: TAP, the server as a child, requests by hand, and npm's
 * packages, which live in $BUILD/npm and never in the tree. Runs on node 18 and later. */

const assert = require('assert');
const { spawn, spawnSync } = require('child_process');
const fs = require('fs');
const http = require('http');
const { createRequire } = require('module');
const os = require('os');
const path = require('path');

const top = path.resolve(__dirname, '../..');
const build = path.resolve(top, process.env.BUILD || 'build/release');
const program = process.env.RESTANTED || path.join(build, 'restanted');
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'clients-'));

/* ---- children: none outlives the suite ---- */

const children = new Set();

/* With group, the child leads a process group, and all of it is ended. */
function launch(command, args, { group = false, ...options } = {}) {
	const child = spawn(command, args, { detached: group, ...options });
	child.end = (signal) => {
		try {
			process.kill(group ? -child.pid : child.pid, signal);
		} catch {
			/* it has ended by itself */
		}
	};
	child.gone = new Promise((resolve) => {
		child.on('close', (code) => resolve(code));
		child.on('error', (error) => {
			child.failed = error;
			resolve(-1);
		});
	}).finally(() => children.delete(child));
	children.add(child);
	return child;
}

process.on('exit', () => {
	for (const child of children)
		child.end('SIGKILL');
	fs.rmSync(work, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.on(signal, () => process.exit(1));

/* ---- TAP ---- */

let number = 0, failed = 0;

function say(promise, error) {
	number++;
	failed += error ? 1 : 0;
	console.log(`${error ? 'not ok' : 'ok'} ${number} - ${promise}`);
	if (error)
		comment(error.stack || String(error));
}

function comment(text) {
	for (const line of String(text).trimEnd().split('\n').slice(0, 40))
		console.log(`# ${line}`);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Fails if work has not come to an end after ms. */
function within(ms, what, work) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what}: not done after ${ms} ms`)), ms);
	});
	return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/* One after the other, each with 30 s; without what the first one prepares the others are not
 * tried. ONLY=word runs those that have it in their names. */
const tests = [];
const test = (promise, body) => tests.push({ promise, body });

async function attempt(promise, body) {
	try {
		await within(30000, promise, body());
		say(promise);
		return true;
	} catch (error) {
		say(promise, error);
		for (const server of Server.running)
			comment(server.log());
		return false;
	}
}

async function run(promise, prepare) {
	if (await attempt(promise, prepare))
		for (const { promise: name, body } of tests)
			if (name.includes(process.env.ONLY || ''))
				await attempt(name, body);
	finish();
}

function finish() {
	console.log(`1..${number}`);
	process.exit(failed ? 1 : 0);
}

/* ---- npm's packages ---- */

/* Installs what package-lock.json says unless it is there already, and returns a require() for it.
 * Installed beside and renamed, so that what is there is whole. */
function packages() {
	const home = path.join(build, 'npm'), lock = path.join(__dirname, 'package-lock.json');
	const there = path.join(home, 'package-lock.json');
	const promise = 'npm has the pinned packages';

	if (!fs.existsSync(there) || !fs.readFileSync(there).equals(fs.readFileSync(lock))) {
		const fresh = `${home}.${process.pid}`;
		fs.mkdirSync(fresh, { recursive: true });
		for (const file of ['package.json', 'package-lock.json'])
			fs.copyFileSync(path.join(__dirname, file), path.join(fresh, file));
		const npm = spawnSync('npm', ['ci', '--prefer-offline', '--omit=optional', '--ignore-scripts',
			'--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=1'],
			{ cwd: fresh, encoding: 'utf8', timeout: 180000 });
		if (npm.status !== 0) {
			say(promise, npm.error || `npm ci has failed (${npm.status ?? npm.signal})\n${npm.stderr}`);
			fs.rmSync(fresh, { recursive: true });
			finish();
		}
		fs.rmSync(home, { recursive: true, force: true });
		fs.renameSync(fresh, home);
	}
	say(promise);
	return createRequire(path.join(home, 'package.json'));
}

/* ---- the server ---- */

class Server {
	static running = new Set();
	static count = 0;

	/* On a data directory of its own and a free port, which it keeps over restarts, with the text
	 * of a settings file. */
	static async start(settings = '') {
		const server = new Server();
		server.settings = settings;
		server.dir = path.join(work, `server-${++Server.count}`);
		server.port = 0;
		await server.start();
		return server;
	}

	async start() {
		fs.mkdirSync(this.dir, { recursive: true });
		const log = fs.openSync(`${this.dir}.log`, 'a'), config = `${this.dir}.conf`;
		fs.writeFileSync(config, this.settings);
		this.child = launch(program, ['--config', config, '--data-dir', path.join(this.dir, 'data'),
			'--listen', `127.0.0.1:${this.port}`], { stdio: ['ignore', 'pipe', log] });
		fs.closeSync(log);
		Server.running.add(this);
		this.url = await within(15000, 'the server is ready', new Promise((resolve, reject) => {
			let said = '';
			this.child.stdout.on('data', (data) => {
				said += data;
				const line = /^listening on (\S+)$/m.exec(said);
				if (line)
					resolve(line[1]);
			});
			this.child.gone.then((code) =>
				reject(this.child.failed || new Error(`the server has ended with ${code}`)));
		}));
		this.port = new URL(this.url).port;
		this.endpoint = `${this.url}/v1/uploads`;
	}

	log() {
		return fs.readFileSync(`${this.dir}.log`, 'utf8').split('\n').slice(-20).join('\n');
	}

	async kill() {
		Server.running.delete(this);
		this.child.end('SIGKILL');
		await this.child.gone;
	}

	async stop() {
		Server.running.delete(this);
		this.child.end('SIGTERM');
		const code = await within(15000, 'the server stops', this.child.gone);
		assert.equal(code, 0, `the server has ended with ${code}\n${this.log()}`);
	}

	/* What recipients get. */
	async fetch(token) {
		const answer = await request('GET', `${this.url}/v1/media/${token}`);
		assert.equal(answer.status, 200, `GET of the token: ${answer.status} ${answer.body}`);
		return answer.body;
	}
}

/* ---- requests by hand ---- */

/* One request on a connection of its own; headers go out as given, but for undefined ones. cut: the
 * connection is cut that many ms after the body is written, and there is no answer. */
function request(method, url, { headers = {}, body, cut } = {}) {
	const given = Object.fromEntries(
		Object.entries(headers).filter(([, value]) => value !== undefined));

	return new Promise((resolve, reject) => {
		const req = http.request(url, { method, headers: given, agent: false }, (res) => {
			const parts = [];
			res.on('data', (part) => parts.push(part));
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers,
				body: Buffer.concat(parts) }));
			res.on('error', reject);
		});
		req.setTimeout(10000, () => req.destroy(new Error(`${method}: no answer for 10 s`)));
		if (cut) {
			req.on('error', () => resolve(null));
			req.write(body, () => setTimeout(() => req.destroy(), cut));
			return;
		}
		req.on('error', reject);
		req.end(body);
	});
}

module.exports = { Server, comment, launch, packages, request, run, say, sleep, test, within, work };
