# restante - `make serve` runs it, `make check` proves it. `make help` lists the rest.

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
SAN     ?=
CC      ?= gcc
DATA    ?= data

# One folder of objects a profile, so that sanitizer builds do not disturb the others.
comma   := ,
PROFILE := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
BUILD   ?= build/$(PROFILE)

# ---- packages -------------------------------------------------------------------------------
DEPS_SERVER := gcc libc6-dev pkg-config libmicrohttpd-dev librocksdb-dev libsodium-dev nettle-dev \
              libjansson-dev libgnutls28-dev libsystemd-dev uthash-dev libxxhash-dev libisal-dev \
              libseccomp-dev
DEPS_CLIENT := gcc libc6-dev pkg-config libcurl4-openssl-dev libsodium-dev nettle-dev libjansson-dev \
              libvips-dev libopusfile-dev libogg-dev libmagic-dev libisal-dev
DEPS_VIDEO := libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
DEPS_BUILD := $(DEPS_SERVER) $(DEPS_CLIENT) $(DEPS_VIDEO)
DEPS_CHECK := $(DEPS_BUILD) libcmocka-dev curl age nginx openssl mandoc g++ python3 chromium python3-tuspy \
              python3-jsonschema python3-cryptography imagemagick webp libheif-examples libimage-exiftool-perl opus-tools ffmpeg \
              $(if $(shell command -v npm),,nodejs npm)
# some packages of nodejs bring npm along, and exclude the one of that name
DEPS_BENCH := $(DEPS_CHECK) wrk yaws gnuplot-nox nodejs $(if $(shell command -v npm),,npm)
DEPS_LINT  := clang-format cppcheck
DEPS_FUZZ  := clang-14 libclang-rt-14-dev

# ---- flags ----------------------------------------------------------------------------------
PKGS     := libmicrohttpd libsodium nettle jansson gnutls libsystemd
OPT      := $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=$(SAN),-O2)
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIC -fvisibility=hidden \
            $(if $(SAN),,-D_FORTIFY_SOURCE=2)
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wformat=2 -Wvla -Werror
CPPFLAGS := -D_GNU_SOURCE -Iinclude -Isrc -I.
CFLAGS   := -std=c11 -g $(OPT) $(HARDEN) $(WARN) -pthread
LDFLAGS  := -pie -Wl,-z,relro,-z,now -pthread $(if $(SAN),-fsanitize=$(SAN))
LIBS_CLIENT := -lcurl -lsodium -lnettle -ljansson
LIBS     := -lmicrohttpd -lrocksdb -lsodium -lnettle -ljansson -lgnutls -lsystemd -lxxhash -lisal -lseccomp

# ---- sources, by room ------------------------------------------------------------------------
BASE    := src/base/err.c src/base/text.c src/base/num.c src/base/clock.c src/base/log.c \
           src/base/digest.c src/base/crc32c.c src/base/sums.c src/base/conf.c \
           src/base/files.c src/base/disk.c
WIRE    := src/wire/token.c src/wire/range.c src/wire/digest_header.c src/wire/etag.c \
           src/wire/query.c src/wire/sf_read.c src/wire/sf.c src/wire/metadata.c src/wire/concat.c \
           src/wire/checksum.c src/wire/shallow.c src/wire/paseto.c src/wire/paserk.c src/wire/grant.c \
           src/wire/grant_write.c
STORAGE := storage/chunk.c storage/acks.c storage/store.c storage/scrub.c storage/memory/memory.c \
           storage/memory/held.c storage/memory/join.c storage/memory/pieces.c \
           storage/rocksdb/rocksdb.c storage/rocksdb/rdb.c storage/rocksdb/batch.c storage/rocksdb/record.c \
           storage/rocksdb/alive.c storage/rocksdb/due.c storage/rocksdb/extents.c storage/rocksdb/uploads.c storage/rocksdb/row.c \
           storage/rocksdb/writer.c storage/rocksdb/concat.c storage/rocksdb/read.c storage/rocksdb/now.c \
           storage/rocksdb/drop.c storage/rocksdb/ballast.c storage/rocksdb/acknowledge.c storage/rocksdb/collector.c \
           storage/rocksdb/snapshot.c storage/rocksdb/pack.c storage/rocksdb/pack_list.c storage/rocksdb/pack_append.c \
           storage/rocksdb/pack_read.c storage/rocksdb/pack_collect.c storage/rocksdb/packed.c storage/rocksdb/mover.c
FAULTY  := storage/faulty/faulty.c
SERVER  := src/server/settings/settings.c src/server/settings/settings_table.c src/server/settings/settings_value.c src/server/settings/settings_load.c src/server/settings/hosts.c \
           src/server/settings/settings_print.c src/server/keys.c src/server/keys_file.c src/server/tokens.c src/server/watch/metrics.c src/server/watch/metrics_print.c src/server/watch/process.c src/server/watch/logs.c src/server/watch/access.c src/server/workers.c \
           src/server/reply.c src/server/cache.c src/server/loads.c src/server/media.c src/server/params.c \
           src/server/piece.c src/server/session.c src/server/session_turns.c src/server/session_commit.c src/server/problem.c src/server/answer.c src/server/pages.c \
           src/server/body.c src/server/ahead.c src/server/fetch.c src/server/fetch_answer.c src/server/fetch_send.c src/server/fetch_live.c src/server/manage.c src/server/watch/health.c \
           src/server/own_fields.c src/server/options.c src/server/target.c src/server/retire.c src/server/acknowledge.c src/server/extend.c \
           src/server/finals.c src/server/finals_needs.c src/server/finals_join.c src/server/dialect/put.c src/server/dialect/tus.c \
           src/server/dialect/tus_create.c src/server/dialect/tus_patch.c src/server/dialect/tus_look.c \
           src/server/dialect/rufh.c src/server/dialect/rufh_create.c src/server/dialect/rufh_append.c \
           src/server/dialect/rufh_look.c src/server/dialect/rufh_bytes.c src/server/dialect/choose.c src/server/dialect/fields.c \
           src/server/dialect/checks.c src/server/dialect/creation.c src/server/dialect/work.c src/server/reload.c src/server/sweep.c src/server/admin/errand.c \
           src/server/admin/status.c src/server/admin/control.c src/server/admin/expire.c src/server/admin/backup.c src/server/admin/manifest.c src/server/keeper.c src/server/route.c \
           src/server/sandbox/landlock.c src/server/sandbox/syscalls.c src/server/sandbox/sandbox.c \
           src/server/http/guard.c src/server/http/linger.c src/server/http/interim.c src/server/http/acceptor.c \
           src/server/http/http.c src/server/http/loop.c src/server/http/daemons.c src/server/http/conn.c \
           src/server/http/request.c src/server/http/head.c src/server/http/way.c src/server/http/native.c \
           src/server/http/respond.c src/server/http/count.c src/server/http/answer_head.c \
           src/server/http/direct.c src/server/http/direct_send.c src/server/http/kept.c src/server/http/intake.c src/server/http/rest.c src/server/listen.c \
           src/server/tls.c src/server/address.c src/server/census.c src/server/permit/quota.c src/server/permit/minute.c src/server/permit/meter.c src/server/running.c src/server/live.c src/server/details.c \
           src/server/claims.c src/server/restore.c src/server/owner.c src/server/run.c src/server/permit/permit.c src/server/permit/admission.c src/server/permit/challenge.c src/server/permit/reuse.c

# librestante, and what the command adds to it
SEAL    := src/client/seal/bech32.c src/client/seal/key.c src/client/seal/padme.c \
           src/client/seal/hkdf.c src/client/seal/stanza.c src/client/seal/header.c \
           src/client/seal/payload.c src/client/seal/sealer.c src/client/seal/opener.c
ENVELOPE := src/client/seal/envelope.c src/client/seal/envelope_json.c src/client/token.c
CLIENT  := src/client/fail.c src/client/version.c src/client/address.c src/client/response.c src/client/exchange.c \
           src/client/exchange_verdict.c src/client/transport.c src/client/retry.c \
           src/client/client.c src/client/manage.c src/client/operator.c src/client/grant.c
SENDING := src/client/source.c src/client/source_file.c src/client/source_fd.c src/client/tally.c \
           src/client/tus.c src/client/leg.c src/client/leg_answer.c src/client/parts.c src/client/state.c src/client/send.c \
           src/client/send_legs.c src/client/upload.c
FETCH   := src/client/content_range.c src/client/head.c src/client/opening.c src/client/part_file.c \
           src/client/stream.c src/client/stream_answer.c src/client/fetch.c src/client/fetch_at.c
PHOTO   := src/photo/photo.c src/photo/load.c src/photo/heif.c src/photo/kind.c src/photo/jpeg.c \
           src/photo/image.c src/photo/colour.c src/photo/encode.c src/photo/fit.c src/photo/preview.c \
           src/photo/strip.c src/photo/strip_jpeg.c src/photo/strip_png.c src/photo/strip_webp.c \
           src/photo/strip_gif.c src/photo/thumbhash.c
VOICE   := src/voice/voice.c src/voice/page.c src/voice/strip.c src/voice/foreign.c
CLI     := src/cli/main.c src/cli/command.c src/cli/options.c src/cli/settings.c src/cli/folders.c \
           src/cli/cancel.c src/cli/trouble.c src/cli/say.c src/cli/output.c src/cli/words.c src/cli/json.c \
           src/cli/progress.c src/cli/input.c src/cli/media.c src/cli/card.c src/cli/prepare.c \
           src/cli/feed.c src/cli/state.c src/cli/spool.c src/cli/emit.c src/cli/job.c \
           src/cli/send.c src/cli/send_file.c src/cli/send_stream.c src/cli/sink.c \
           src/cli/cmd_put.c src/cli/cmd_get.c src/cli/cmd_envelope.c src/cli/cmd_token.c \
           src/cli/cmd_manage.c src/cli/cmd_keygen.c src/cli/cmd_grant.c src/cli/operator.c \
           src/cli/cmd_status.c src/cli/cmd_server.c src/cli/cmd_expire.c src/cli/generations.c \
           src/cli/backup.c src/cli/cmd_backup.c

TESTLIB := tests/lib/client.c tests/lib/admin.c tests/lib/minter.c tests/lib/server.c tests/lib/tus.c tests/lib/rufh.c tests/lib/fake.c tests/lib/fake_peer.c tests/lib/sealed.c tests/lib/proxy.c tests/lib/follow.c tests/lib/nginx.c
UNIT    := test_text test_num test_clock test_log test_digest test_token test_paseto test_grant test_range \
           test_digest_header test_etag test_query test_sf test_metadata test_concat test_checksum \
           test_sums test_settings test_settings_hosts test_settings_files test_keys test_tokens test_cache test_loads \
           test_listen test_tls test_workers test_guard test_route test_params test_sandbox \
           test_address test_access test_metrics test_census test_quota test_details test_claims test_live
ENGINE  := test_engine test_scrub test_rocksdb
PROTO   := test_put test_fetch test_once test_direct test_head test_library test_limits test_faults test_stop test_tls \
           test_nginx test_tus test_tus_extensions test_checksum test_concat \
           test_rufh test_handover test_keep test_intake test_manage test_logs test_cut \
           test_sandbox test_proxy test_live test_live_nginx test_grants test_reuse test_quota test_hosts test_admin test_expire
FUZZ    := fuzz_token fuzz_grant fuzz_range fuzz_digest_header fuzz_params fuzz_config fuzz_sf fuzz_metadata \
           fuzz_concat fuzz_checksum fuzz_details fuzz_envelope fuzz_seal_header fuzz_seal_payload fuzz_ogg fuzz_photo

CRASH   := tests/crash/crash.c tests/crash/chance.c tests/crash/ask.c tests/crash/blobs.c \
           tests/crash/uploads.c tests/crash/append.c tests/crash/tus.c tests/crash/rufh.c \
           tests/crash/concat.c tests/crash/marks.c

SOAK    := tests/soak/soak.c tests/soak/ledger.c tests/soak/deeds.c tests/soak/backup.c \
           tests/crash/ask.c tests/crash/chance.c

# Suites of librestante and of the media files' preparation, and of the command (scripts).
LIBRARY := test_envelope test_token_api test_grant_api test_voice test_video test_key test_seal test_tamper test_age_vectors test_age_tool test_transport test_patience test_trust test_http2 test_client test_wiped test_retry test_fetching test_part_file test_answers test_seek test_live test_photo test_photo_limits test_thumbhash test_ciphertext test_source test_upload test_resume test_operator
ALONE   := proto/test_cut proto/test_handover proto/test_limits library/test_patience library/test_live
COMMAND := headers install embedding put get live token grant integration settings usage metrics secrecy operator backup service

# The shared library; named here, as what is asked for below is read in this order.
SONAME := librestante.so.0
SHARED := librestante.so.0.1.0

objs = $(patsubst %.c,$(BUILD)/%.o,$(1))

# ---- what people type -------------------------------------------------------------------------
.PHONY: all serve client check check-unit check-engine check-proto bench crash soak fuzz lint format docs \
        install clean help deps deps-server deps-client deps-check deps-bench deps-lint deps-fuzz
.DEFAULT_GOAL := all

all: build/restanted build/restante $(BUILD)/$(SHARED) $(BUILD)/librestante.a

help:
	@sed -n 's/^#> //p' Makefile

#> make serve         install what is missing, build, serve on 127.0.0.1:8080 (data in ./data)
serve: deps-server
	@$(MAKE) --no-print-directory build/restanted
	@conf/serve-hint
	@exec build/restanted --data-dir $(DATA)

#> make client        install what is missing, build the restante command (build/restante) and librestante
client: deps-client
	@$(MAKE) --no-print-directory build/restante $(BUILD)/$(SHARED) $(BUILD)/librestante.a

#> make check         install what the tests need, build, run every test (SAN=address,undefined or SAN=thread)
check: deps-check check-tools
	@$(MAKE) --no-print-directory check-run

#> make bench         measures an hour beside nginx, yaws, tus servers and the machine's limits; writes doc/benchmarks.md
bench: deps-bench
	@$(MAKE) --no-print-directory all
	@tests/bench/peers
	tests/bench/run; failed=$$?; tests/bench/report; exit $$failed

#> make crash         kill -9 campaign, ROUNDS=2000
crash: deps-check
	@$(MAKE) --no-print-directory $(BUILD)/tests/crash/crash build/restanted
	$(BUILD)/tests/crash/crash $(or $(ROUNDS),2000)

#> make soak          everything at once for SECONDS=600: uploads, expiry, reloads, backups, kill -9
soak: deps-check
	@$(MAKE) --no-print-directory $(BUILD)/tests/soak/soak $(BUILD)/restanted $(BUILD)/restante
	$(BUILD)/tests/soak/soak $(or $(SECONDS),600)

#> make fuzz          each fuzz target with libFuzzer for SECONDS=60
fuzz: deps-fuzz
	@$(MAKE) --no-print-directory fuzz-run

#> make lint          clang-format and cppcheck
#> make format        lay the sources out
#> make docs          print conf/restante.conf and the settings of restante.conf(5) from the table
#> make install       DESTDIR= PREFIX=/usr/local LIBDIR=PREFIX/lib
#> make clean

# ---- packages: asks apt only for what is missing ------------------------------------------------
deps:       ; @conf/deps $(DEPS_BUILD)
deps-server: ; @conf/deps $(DEPS_SERVER)
deps-client: ; @conf/deps $(DEPS_CLIENT) $(DEPS_VIDEO)
deps-check: ; @conf/deps $(DEPS_CHECK)
deps-bench: ; @conf/deps $(DEPS_BENCH)
deps-lint:  ; @conf/deps $(DEPS_LINT)
deps-fuzz:  ; @conf/deps $(DEPS_BUILD) $(DEPS_FUZZ)

# ---- programs -----------------------------------------------------------------------------------
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/libbase.a:    $(call objs,$(BASE))
$(BUILD)/libwire.a:    $(call objs,$(WIRE))
$(BUILD)/libstorage.a: $(call objs,$(STORAGE))
$(BUILD)/libserver.a:  $(call objs,$(SERVER))
$(BUILD)/libtest.a:    $(call objs,$(TESTLIB))
$(BUILD)/%.a:
	@rm -f $@
	ar rcs $@ $^

ARCHIVES := $(BUILD)/libserver.a $(BUILD)/libstorage.a $(BUILD)/libwire.a $(BUILD)/libbase.a
FAULTY_O := $(call objs,$(FAULTY))

# The only difference between the two programs: which engines they know.
$(BUILD)/restanted: $(call objs,src/server/main.c storage/engines.c) $(ARCHIVES)
	$(CC) $(LDFLAGS) $^ $(LIBS) -o $@
$(BUILD)/restanted-faulty: $(call objs,src/server/main.c tests/lib/engines.c) $(FAULTY_O) $(ARCHIVES)
	$(CC) $(LDFLAGS) $^ $(LIBS) -o $@
ifneq ($(BUILD),build)
build/restanted: $(BUILD)/restanted
	@mkdir -p build
	ln -sf $(patsubst build/%,%,$(BUILD))/restanted $@
endif

# librestante: the shared one, and one for static linking that hides as much: only what include/ has.
LIBRESTANTE := $(call objs,$(SEAL) $(ENVELOPE) $(CLIENT) $(SENDING) $(FETCH))
$(BUILD)/$(SHARED): $(LIBRESTANTE) $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) -shared -Wl,-soname,$(SONAME) -Wl,-z,relro,-z,now,-z,defs -pthread \
	    $(if $(SAN),-fsanitize=$(SAN)) $^ $(LIBS_CLIENT) -lisal -o $@
	ln -sf $(SHARED) $(BUILD)/$(SONAME)
	ln -sf $(SHARED) $(BUILD)/librestante.so
$(BUILD)/librestante.a: $(LIBRESTANTE) $(BUILD)/libwire.a $(BUILD)/libbase.a
	ld -r -o $(BUILD)/restante-whole.o $^
	objcopy --localize-hidden $(BUILD)/restante-whole.o
	@rm -f $@
	ar rcs $@ $(BUILD)/restante-whole.o
# The same, with its inside open: for tests and fuzz targets.
$(BUILD)/libclient.a: $(LIBRESTANTE)

# The command. Videos are looked into where ffmpeg's libraries are there, or VIDEO=no.
FFMPEG := libavformat libavcodec libavutil libswscale
VIDEO  ?= $(shell pkg-config --exists $(FFMPEG) 2>/dev/null && echo yes || echo no)
VIDEO_SOURCE := $(if $(filter yes,$(VIDEO)),src/video/video.c src/video/container.c src/video/file_io.c \
                src/video/remux.c src/video/xiph.c src/video/poster.c src/video/shape.c,src/video/none.c)
LIBS_VIDEO := $(if $(filter yes,$(VIDEO)),$(shell pkg-config --libs $(FFMPEG) 2>/dev/null))
LIBS_MEDIA := $(shell pkg-config --libs vips opusfile opus ogg 2>/dev/null)
CFLAGS_MEDIA := $(shell pkg-config --cflags vips opusfile ogg 2>/dev/null | sed 's/-I/-isystem /g')
$(call objs,$(PHOTO) $(VOICE)) $(BUILD)/tests/fuzz/fuzz_photo.o: CPPFLAGS += $(CFLAGS_MEDIA)
$(BUILD)/libmedia.a: $(call objs,$(PHOTO) $(VOICE))
$(BUILD)/restante: $(call objs,$(CLI) $(VIDEO_SOURCE)) $(BUILD)/libmedia.a $(BUILD)/librestante.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ $(LIBS_CLIENT) $(LIBS_MEDIA) $(LIBS_VIDEO) -lmagic -lisal -lm -o $@
# One that was built without them, for the tests.
$(BUILD)/restante-novideo: $(call objs,$(CLI) src/video/none.c) $(BUILD)/libmedia.a $(BUILD)/librestante.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ $(LIBS_CLIENT) $(LIBS_MEDIA) -lmagic -lisal -lm -o $@
ifneq ($(BUILD),build)
build/restante: $(BUILD)/restante
	@mkdir -p build
	ln -sf $(patsubst build/%,%,$(BUILD))/restante $@
endif

# ---- tests --------------------------------------------------------------------------------------
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVES) $(call objs,storage/engines.c)
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(ARCHIVES) $(LIBS) -lcmocka -o $@
$(BUILD)/tests/unit/test_settings $(BUILD)/tests/unit/test_settings_hosts $(BUILD)/tests/unit/test_settings_files: \
    $(call objs,tests/unit/settings_fixture.c)
$(BUILD)/tests/engine/%: $(BUILD)/tests/engine/%.o $(FAULTY_O) $(BUILD)/libstorage.a $(BUILD)/libbase.a $(call objs,tests/lib/engines.c)
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka -o $@
$(BUILD)/tests/proto/%: $(BUILD)/tests/proto/%.o $(BUILD)/libtest.a $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ -lsodium -lnettle -ljansson -lcmocka -lgnutls -o $@
# Sets a server's clock.
$(BUILD)/tests/lib/shift.so: $(call objs,tests/lib/shift.c)
	$(CC) -shared $^ -o $@
$(BUILD)/tests/proto/test_expire: | $(BUILD)/tests/lib/shift.so
$(BUILD)/tests/crash/crash: $(call objs,$(CRASH)) $(BUILD)/libtest.a $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ -lsodium -lnettle -ljansson -o $@
$(BUILD)/tests/soak/soak: $(call objs,$(SOAK)) $(BUILD)/libtest.a $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ -lsodium -lnettle -ljansson -o $@
# Looks into a stopped store for bytes that no record counts.
$(BUILD)/tests/crash/orphans: $(call objs,tests/crash/orphans.c storage/engines.c) $(BUILD)/libstorage.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ $(LIBS) -o $@
$(BUILD)/tests/crash/crash: | $(BUILD)/tests/crash/orphans

# Judges grants of other people's making.
VERIFY_GRANT := $(BUILD)/tests/clients/verify_grant
$(VERIFY_GRANT): $(BUILD)/tests/clients/verify_grant.o $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ -lsodium -ljansson -o $@

# Of the client: all that is ours is within reach, the server is a process.
$(BUILD)/tests/library/%: $(BUILD)/tests/library/%.o $(BUILD)/libtest.a $(BUILD)/libclient.a $(BUILD)/libmedia.a $(BUILD)/libwire.a $(BUILD)/libbase.a $(call objs,$(VIDEO_SOURCE))
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) $(LIBS_CLIENT) $(LIBS_MEDIA) $(LIBS_VIDEO) -lisal -lgnutls -lcmocka -lm -o $@

TESTS_UNIT   := $(UNIT:%=$(BUILD)/tests/unit/%)
TESTS_ENGINE := $(ENGINE:%=$(BUILD)/tests/engine/%)
TESTS_PROTO  := $(PROTO:%=$(BUILD)/tests/proto/%)
TESTS_LIBRARY := $(LIBRARY:%=$(BUILD)/tests/library/%)
TESTS_COMMAND := $(COMMAND:%=tests/command/%)
# They look at the clock.
TESTS_ALONE   := $(ALONE:%=$(BUILD)/tests/%)
.SECONDARY: $(call objs,$(UNIT:%=tests/unit/%.c) $(ENGINE:%=tests/engine/%.c) $(PROTO:%=tests/proto/%.c) \
            $(LIBRARY:%=tests/library/%.c) $(FUZZ:%=tests/fuzz/%.c))

export BUILD SAN
.PHONY: check-run check-build check-tools
# For one suite; without them it skips.
check-tools: ; @tests/lib/unpack prometheus usr/bin/promtool
check-build: build/restanted build/restante $(BUILD)/restanted $(BUILD)/restanted-faulty $(TESTS_UNIT) $(TESTS_ENGINE) \
             $(TESTS_PROTO) $(TESTS_LIBRARY) $(BUILD)/restante $(BUILD)/restante-novideo $(BUILD)/$(SHARED) $(VERIFY_GRANT)
# A sanitizer build runs the suites that are about our own memory and threads.
check-run: check-build $(if $(SAN),,$(BUILD)/tests/crash/crash $(BUILD)/tests/soak/soak $(FUZZ:%=$(BUILD)/tests/fuzz/%))
	@tests/run $(if $(SAN),,tests/clients/clients) $(filter-out $(TESTS_ALONE),$(TESTS_UNIT) $(TESTS_ENGINE) $(TESTS_PROTO) $(TESTS_LIBRARY)) \
	    $(if $(SAN),,$(TESTS_COMMAND) tests/house tests/examples tests/clients/browser tests/clients/differential tests/clients/grants tests/fuzz/slice) \
	    -- $(TESTS_ALONE) $(if $(SAN),,tests/crash/slice tests/soak/slice)

# For tests/house: that none is forgotten.
.PHONY: print-suites
print-suites: ; @printf '%s\n' $(UNIT:%=tests/unit/%) $(ENGINE:%=tests/engine/%) $(PROTO:%=tests/proto/%) $(LIBRARY:%=tests/library/%) $(TESTS_COMMAND)

check-library: build/restanted $(BUILD)/restanted $(BUILD)/restante $(BUILD)/restante-novideo $(VERIFY_GRANT) $(TESTS_LIBRARY) ; @tests/run $(TESTS_LIBRARY) $(TESTS_COMMAND)
check-unit:   $(TESTS_UNIT)   ; @tests/run $^
check-engine: $(TESTS_ENGINE) ; @tests/run $^
check-proto:  build/restanted $(BUILD)/restanted $(BUILD)/restanted-faulty $(TESTS_PROTO) ; @tests/run $(TESTS_PROTO)

# Replays files through a target (in `make check`, with gcc) ...
FUZZ_CLIENT := fuzz_envelope fuzz_seal_header fuzz_seal_payload fuzz_ogg fuzz_photo
$(FUZZ_CLIENT:%=$(BUILD)/tests/fuzz/%): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(BUILD)/libclient.a $(BUILD)/libmedia.a $(BUILD)/libwire.a $(BUILD)/libbase.a
	$(CC) $(LDFLAGS) $^ $(LIBS_CLIENT) $(LIBS_MEDIA) -lisal -lm -o $@
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(ARCHIVES) $(call objs,storage/engines.c)
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(ARCHIVES) $(LIBS) -o $@
# ... and the same targets under libFuzzer.
$(FUZZ_CLIENT:%=build/fuzz/%): build/fuzz/%: tests/fuzz/%.c $(BASE) $(WIRE) $(SEAL) $(ENVELOPE) $(CLIENT) $(SENDING) $(FETCH) $(PHOTO) $(VOICE)
	@mkdir -p $(@D)
	clang-14 $(CPPFLAGS) $(CFLAGS_MEDIA) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -pthread $^ $(LIBS_CLIENT) $(LIBS_MEDIA) -lisal -lm -o $@
build/fuzz/%: tests/fuzz/%.c $(BASE) $(WIRE) $(STORAGE) $(SERVER) storage/engines.c
	@mkdir -p $(@D)
	clang-14 $(CPPFLAGS) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -pthread $^ $(LIBS) -o $@
build/fuzz/fuzz_video: tests/fuzz/fuzz_video.c $(VIDEO_SOURCE) $(BASE)
	@mkdir -p $(@D)
	clang-14 $(CPPFLAGS) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -pthread $^ $(LIBS_VIDEO) -lsodium -lnettle -lisal -o $@
.PHONY: fuzz-run
fuzz-run: $(FUZZ:%=build/fuzz/%) $(if $(filter yes,$(VIDEO)),build/fuzz/fuzz_video)
	@set -e; for t in $(notdir $^); do mkdir -p build/fuzz/corpus/$$t tests/fuzz/corpus/$$t; \
	    echo "== $$t"; build/fuzz/$$t -max_total_time=$(or $(SECONDS),60) -print_final_stats=0 \
	    -verbosity=0 build/fuzz/corpus/$$t tests/fuzz/corpus/$$t; done

# ---- habits -------------------------------------------------------------------------------------
# cppcheck does not read system headers; these are uthash's loops
CPPCHECK_MACROS := -D'LL_FOREACH(h,e)=for(e=h;e;e=e->next)' -D'DL_FOREACH(h,e)=for(e=h;e;e=e->next)' \
                   -D'LL_FOREACH_SAFE(h,e,t)=for(e=h;e;e=t)' -D'HASH_ITER(hh,h,e,t)=for(e=h;e;e=t)'
C_FILES = $(shell git ls-files '*.c' '*.h')
lint: deps-lint
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --suppress=nullPointerArithmeticRedundantCheck \
	    --error-exitcode=1 $(CPPCHECK_MACROS) -D_GNU_SOURCE -Iinclude -Isrc -I. src storage
format:
	clang-format -i $(C_FILES)
docs: $(BUILD)/restanted
	conf/print-docs $(BUILD)/restanted

# What is installed knows PREFIX and LIBDIR, and nothing of DESTDIR. Libraries in a folder that the
# loader looks into (as /usr/local/lib) are found by it after ldconfig.
VERSION = $(shell sed -n 's/.*RESTANTE_VERSION "\(.*\)"/\1/p' include/restante/version.h)
install: all
	install -D -m 755 $(BUILD)/restanted $(DESTDIR)$(PREFIX)/sbin/restanted
	install -D -m 644 conf/restante.conf $(DESTDIR)$(PREFIX)/share/doc/restante/restante.conf
	install -m 644 conf/prometheus-alerts.yml conf/grafana-dashboard.json conf/restante.logrotate conf/restante.cron \
	    $(DESTDIR)$(PREFIX)/share/doc/restante/
	install -D -m 644 doc/restanted.8 $(DESTDIR)$(PREFIX)/share/man/man8/restanted.8
	install -D -m 644 doc/restante.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/restante.conf.5
	install -D -m 755 $(BUILD)/restante $(DESTDIR)$(PREFIX)/bin/restante
	install -D -m 644 doc/restante.1 $(DESTDIR)$(PREFIX)/share/man/man1/restante.1
	install -D -m 644 conf/restante.bash-completion \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/restante
	install -D -m 644 $(BUILD)/$(SHARED) $(DESTDIR)$(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/librestante.so
	install -D -m 644 $(BUILD)/librestante.a $(DESTDIR)$(LIBDIR)/librestante.a
	install -d $(DESTDIR)$(PREFIX)/include/restante
	install -m 644 include/restante/*.h $(DESTDIR)$(PREFIX)/include/restante/
	sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	    -e 's|@version@|$(VERSION)|' -e 's|@libs@|$(LIBS_CLIENT) -pthread|' \
	    conf/restante.pc.in >$(BUILD)/restante.pc
	install -D -m 644 $(BUILD)/restante.pc $(DESTDIR)$(LIBDIR)/pkgconfig/restante.pc
	install -D -m 644 doc/envelope.schema.json \
	    $(DESTDIR)$(PREFIX)/share/doc/restante/envelope.schema.json
	sed 's|/usr/local/sbin/|$(PREFIX)/sbin/|' conf/restanted.service >$(BUILD)/restanted.service
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' conf/restante-expire.service >$(BUILD)/restante-expire.service
	install -m 644 $(BUILD)/restanted.service conf/restanted.socket conf/restanted-tls.socket \
	    $(BUILD)/restante-expire.service conf/restante-expire.timer \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -D -m 644 conf/restante.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/restante.conf
	install -D -m 644 conf/restante.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/restante.conf
	install -m 644 conf/nginx.conf conf/Caddyfile $(DESTDIR)$(PREFIX)/share/doc/restante/
clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
