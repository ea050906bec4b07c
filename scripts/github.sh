#!/usr/bin/env bash
# The steps of action.yml: `github.sh STEP`.
#
# Whatever comes from a pull request, such as its title, is a variable of the environment, and never
# text of a script. What geobatch prints of specs cannot be a command for the runner.
set -euo pipefail

work="$RUNNER_TEMP/geobatch"
allowed="$work/allow.yaml"
made="$work/plan"
printed="$work/printed.txt"
mkdir -p "$made"

# Print the lines of a text that are not empty.
lines() { grep -v '^[[:space:]]*$' <<<"$1" || true; }

# Run a command; the runner takes nothing that it prints for a command of its own.
quoted() {
    local code=0 token
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "::stop-commands::$token"
    "$@" 2>&1 | tee "$printed" || code=$?
    echo
    echo "::$token::"
    return "$code"
}

# Add a text to the summary of the job.
summarise() { printf '%s\n\n' "$1" >>"$GITHUB_STEP_SUMMARY"; }

# Add what the last command printed to the summary of the job, as literal text.
summarise_printed() { { sed 's/^/    /' "$printed" && echo; } >>"$GITHUB_STEP_SUMMARY"; }

output() { echo "$1=$2" >>"$GITHUB_OUTPUT"; }

# Install geobatch from the folder of this action.
install() {
    python3 -m venv "$work/environment"
    "$work/environment/bin/pip" install --quiet "$GITHUB_ACTION_PATH${EXTRAS:+[$EXTRAS]}"
    echo "$work/environment/bin" >>"$GITHUB_PATH"
}

# Take what specs may read from the protected branch; start with an empty folder.
allow() {
    rm -rf "$made" "$work/reviewed"
    mkdir -p "$made"
    # In a container, this is not what `runner.temp` says.
    output folder "$work"
    git fetch --quiet --no-tags --depth=1 origin "refs/heads/$BRANCH"
    if git cat-file -e FETCH_HEAD:./geobatch.yaml 2>/dev/null; then
        git show FETCH_HEAD:./geobatch.yaml >"$allowed"
    else
        : >"$allowed"
    fi
}

# Plan; save the plan and its exit code.
plan() {
    local code=0 arguments=(plan --detailed-exitcode --allow-from "$allowed" -o "$made/plan.json")
    if [ "$REHEARSE" = true ]; then arguments+=(--rehearse); fi
    while IFS= read -r line; do arguments+=("$line"); done < <(lines "$OPTIONS")
    while IFS= read -r line; do arguments+=("$line"); done < <(lines "$SPECS")
    quoted geobatch "${arguments[@]}" || code=$?
    output exit-code "$code"
    if [ -f "$made/plan.json" ]; then
        output is-saved true
    else
        output is-saved false
        summarise "**geobatch made no plan** (exit code $code)"
        summarise_printed
    fi
}

# Write the report of the plan, as a page and as the summary of the job.
report() {
    quoted geobatch review "$made/plan.json" --format html -o "$made"
    geobatch review "$made/plan.json" --format markdown >>"$GITHUB_STEP_SUMMARY"
}

# Post the report as the one comment of the pull request.
comment() { quoted geobatch review post "$made/plan.json" --provider github; }

# Find the run whose plan was reviewed: of this repository, not of a fork, and of the last commit.
find_reviewed() {
    local url="$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/artifacts"
    # A header on the command line would show the token to other processes.
    curl --silent --show-error --fail --location --retry 3 --max-time 60 --header @- \
        --get --data-urlencode "name=$ARTIFACT" --data-urlencode per_page=100 \
        "$url" <<<"Authorization: Bearer $GITHUB_TOKEN" >"$work/artifacts.json"
    python3 - "$work/artifacts.json" >"$work/run.txt" <<'END'
import json, os, sys

artifacts = json.load(open(sys.argv[1], encoding="utf-8"))["artifacts"]
runs = [
    one["workflow_run"]["id"]
    for one in artifacts
    if one["name"] == os.environ["ARTIFACT"]
    and not one["expired"]
    and one["workflow_run"]["head_sha"] == os.environ["HEAD"]
    and one["workflow_run"]["head_repository_id"] == one["workflow_run"]["repository_id"]
]
print(max(runs, default=""))
END
    output run "$(cat "$work/run.txt")"
}

# Publish a plan.
publish() {
    quoted geobatch apply "$1" --allow-from "$allowed" "--message=$TITLE" "--pull-request=$PULL_REQUEST"
}

# Publish the plan that was reviewed; if it is stale, or there is none, plan the tip of the branch.
apply() {
    local code=0 reviewed="$work/reviewed/plan.json"
    if [ -f "$reviewed" ]; then
        publish "$reviewed" || code=$?
        summarise_printed
        output exit-code "$code"
        if [ "$code" = 0 ]; then summarise "The reviewed plan was published."; fi
        # 4: the plan is stale.
        if [ "$code" != 4 ]; then return "$code"; fi
        note="The reviewed plan is stale"
    else
        note="There is no reviewed plan"
    fi
    if [ "$WHEN_STALE" != plan ]; then
        echo "::error::$note; nothing was published"
        return 4
    fi
    echo "::warning::$note: planning again, from the tip of $BRANCH"
    summarise "**$note.** It was planned again, from the tip of \`$BRANCH\`:"
    git fetch --quiet --no-tags --depth=1 origin "refs/heads/$BRANCH"
    git checkout --quiet --detach FETCH_HEAD
    REHEARSE=false plan
}

# Publish the plan that was made again.
apply_again() {
    publish "$made/plan.json"
    summarise_printed
}

# Fail if the plan failed: 0 is no change, 2 is changes.
status() {
    case "$EXIT_CODE" in
    0 | 2) ;;
    *)
        echo "::error::geobatch exits with $EXIT_CODE; its README lists the exit codes"
        exit "$EXIT_CODE"
        ;;
    esac
}

"$1"
