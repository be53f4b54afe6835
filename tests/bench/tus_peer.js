'use strict';
/* tus_peer NPM DIR - @tus/server with its file store in DIR, on a free port of 127.0.0.1, as its
 * README starts it. NPM is the folder that has node_modules. */
const { createRequire } = require('module');
const path = require('path');

const npm = createRequire(path.resolve(process.argv[2], 'package.json'));
const { Server } = npm('@tus/server');
const { FileStore } = npm('@tus/file-store');
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: process.argv[3] }) });
const server = tus.listen(0, '127.0.0.1', () =>
	console.log(`listening on http://127.0.0.1:${server.address().port}/files`));
