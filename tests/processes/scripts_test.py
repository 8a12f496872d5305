"""The launch scripts, with stand-ins for gcloud, Slurm and Python."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TPU_POD = ROOT / 'scripts' / 'tpu_pod.sh'
SLURM = ROOT / 'scripts' / 'slurm.sbatch'
COLORIZE = ROOT / 'scripts' / 'colorize.sbatch'
COMMANDS = ('create', 'setup', 'run', 'logs', 'stop', 'delete')
# Body of a stand-in that appends its name and arguments to $CALLS, with a NUL
# after each.
RECORD = 'printf "%s\\0" "${0##*/}" "$@" >>"$CALLS"\n'
# Body of a stand-in for gcloud. This machine is the only worker, and its home
# folder is $HOME.
WORKER = """
for argument in "$@"; do
  case $argument in
    --command=*) cd "$HOME" && exec bash -c "${argument#--command=}" ;;
  esac
done
[[ $4 != scp ]] || cp "$5" "$HOME/${6#*:}"
"""


@pytest.fixture
def env(tmp_path) -> dict[str, str]:
  """Environment in which stand-ins replace the commands of clusters."""
  for name in ('gcloud', 'srun', 'scontrol', 'curl'):
    write_command(tmp_path / 'bin' / name, RECORD)
  (tmp_path / 'home').mkdir()
  return {
    'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}',
    'HOME': str(tmp_path / 'home'),
    'TMPDIR': str(tmp_path),
    'CALLS': str(tmp_path / 'calls'),
    'WORKDIR': "/mnt/bucket/a run's folder",
  }


def write_command(path: pathlib.Path, body: str) -> None:
  """Writes an executable Bash script with this body."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(f'#!/usr/bin/env bash\n{body}')
  path.chmod(0o755)


def bash(env: dict[str, str], *arguments) -> subprocess.CompletedProcess:
  return subprocess.run(
    ['bash', *map(str, arguments)],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )


def take_calls(env: dict[str, str]) -> list[str]:
  """Returns and deletes the words that stand-ins have written to $CALLS."""
  path = pathlib.Path(env['CALLS'])
  words = path.read_text().split('\0')[:-1] if path.exists() else []
  path.unlink(missing_ok=True)
  return words


@pytest.mark.parametrize(
  'script', [TPU_POD, SLURM, COLORIZE], ids=lambda path: path.name
)
def test_scripts_parse_and_pass_shellcheck(script, env):
  result = bash(env, '-n', script)
  assert result.returncode == 0, result.stderr
  folders = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
  shellcheck = shutil.which('shellcheck', path=folders)
  if shellcheck is None:
    pytest.skip('shellcheck is not installed')
  result = subprocess.run([shellcheck, script], capture_output=True, text=True)
  assert result.returncode == 0, result.stdout


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.parametrize('repo', ['', 'https://host/a b.git'])
def test_a_dry_run_prints_what_a_run_executes(command, repo, env, tmp_path):
  write_command(tmp_path / 'bin' / 'tar', RECORD)
  env |= {'REPO': repo, 'PROJECT': 'project', 'ZONE': 'zone', 'NAME': 'name'}
  flags = ["--flag=it's $HOME"] if command in ('create', 'run') else []

  printed = bash(env, TPU_POD, '--dry-run', command, *flags)
  assert printed.returncode == 0, printed.stderr
  assert take_calls(env) == []
  assert printed.stdout.count('gcloud compute tpus tpu-vm ') >= 1

  assert bash(env, '-c', printed.stdout).returncode == 0
  from_print = take_calls(env)
  assert bash(env, TPU_POD, command, *flags).returncode == 0
  assert take_calls(env) == from_print
  assert {'name', '--zone=zone', '--project=project'} <= set(from_print)


def test_dry_run_may_follow_the_command(env):
  result = bash(env, TPU_POD, 'delete', '--dry-run')
  assert result.stdout.startswith('gcloud compute tpus tpu-vm delete pic-jax')
  assert take_calls(env) == []


@pytest.mark.parametrize('arguments', [['crate'], [], ['--help', 'run']])
def test_an_unknown_command_exits_2_with_the_usage(arguments, env):
  result = bash(env, TPU_POD, *arguments)
  assert result.returncode == 2
  assert len(result.stderr.splitlines()) == 1
  assert '|'.join(COMMANDS) in result.stderr
  assert take_calls(env) == []


def test_run_needs_a_workdir(env):
  result = bash(env | {'WORKDIR': ''}, TPU_POD, 'run')
  assert result.returncode == 2 and 'WORKDIR' in result.stderr
  assert take_calls(env) == []


def test_setup_copies_the_tree_without_venvs_and_the_runs_folder(env, tmp_path):
  write_command(tmp_path / 'bin' / 'gcloud', WORKER)
  write_command(tmp_path / 'home' / '.local' / 'bin' / 'uv', RECORD)
  for name in ('main.py', '.venv/x', '.venv-3.12/x', 'runs/x', 'pic_jax/x'):
    path = tmp_path / 'tree' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
  (tmp_path / 'home' / 'pic_jax').mkdir()
  (tmp_path / 'home' / 'pic_jax' / 'stale.py').touch()
  script = tmp_path / 'tree' / 'scripts' / 'tpu_pod.sh'
  script.parent.mkdir()
  shutil.copy(TPU_POD, script)

  result = bash(env, script, 'setup')
  assert result.returncode == 0, result.stderr
  copied = {path.name for path in (tmp_path / 'home' / 'pic_jax').iterdir()}
  assert copied == {'main.py', 'pic_jax', 'scripts'}
  assert take_calls(env)[-2:] == ['pic_jax/requirements.txt', 'jax[tpu]']


@pytest.mark.skipif(not shutil.which('pkill'), reason='needs procps')
def test_stop_waits_until_the_training_has_saved(env, tmp_path):
  home = tmp_path / 'home'
  write_command(tmp_path / 'bin' / 'gcloud', WORKER)
  write_command(
    home / 'pic_jax_venv' / 'bin' / 'python',
    'trap "sleep 1; echo saved; exit 143" TERM\n'
    'printf "<%s>" "$@"\n'
    'echo\n'
    'for ((i = 0; i < 300; i++)); do sleep 0.1; done\n',
  )
  (home / 'pic_jax').mkdir()
  log = home / 'pic_jax.log'

  result = bash(env, TPU_POD, 'run', "--config.data.name=it's $HOME")
  assert result.returncode == 0, result.stderr
  deadline = time.monotonic() + 20
  while not (log.exists() and log.read_text().endswith('\n')):
    assert time.monotonic() < deadline
    time.sleep(0.05)
  second = bash(env, TPU_POD, 'run')
  assert second.returncode == 1 and 'already running' in second.stderr
  stopped = bash(env, TPU_POD, 'stop')
  assert stopped.returncode == 0 and stopped.stdout == ''
  assert log.read_text().splitlines() == [
    '<main.py><--distributed><--config=configs/cifar10.py>'
    f"<--workdir={env['WORKDIR']}><--config.data.name=it's $HOME>",
    'saved',
  ]
  assert bash(env, TPU_POD, 'stop').stdout == 'No training is running.\n'


@pytest.mark.parametrize('status', [0, 1, 2, 137, 143])
def test_slurm_requeues_only_a_run_that_saved_after_a_signal(
  status, env, tmp_path
):
  write_command(tmp_path / 'bin' / 'srun', f'{RECORD}exit {status}\n')
  env |= {'SLURM_JOB_ID': '7', 'DATA_DIR': '/data sets'}
  result = bash(env, SLURM, '--flag=a b')
  assert result.returncode == status, result.stderr
  calls = take_calls(env)
  program = calls[calls.index('main.py') :]
  requeue = ['scontrol', 'requeue', '7'] if status == 143 else []
  assert program == [
    'main.py',
    '--distributed',
    '--config=configs/cifar10.py',
    f'--workdir={env["WORKDIR"]}',
    '--config.data.data_dir=/data sets',
    '--flag=a b',
    *requeue,
  ]


def test_slurm_must_be_submitted_from_the_root_of_the_repository(env, tmp_path):
  result = bash(env, '-c', f'cd "$HOME" && bash {SLURM}')
  assert result.returncode == 2 and 'root of the repository' in result.stderr
  assert take_calls(env) == []


def test_a_slurm_array_colours_one_shard_for_each_task(env):
  write_command(pathlib.Path(env['PATH'].split(':')[0]) / 'python', RECORD)
  env |= {'SLURM_ARRAY_TASK_ID': '3', 'SLURM_ARRAY_TASK_COUNT': '16'}
  result = bash(env, COLORIZE, '/in put', '/out', '--num-samples', '2')
  assert result.returncode == 0, result.stderr
  assert take_calls(env) == [
    *('python', '-m', 'pic_jax', 'colorize', '/in put', '-o', '/out'),
    *('--shard', '3/16', '--num-samples', '2'),
  ]
  assert bash(env, COLORIZE, '/in').returncode == 2


def test_a_kubernetes_job_colours_one_shard_for_each_pod(env):
  """Runs the command of the YAML file as the first and as the last pod."""
  text = (ROOT / 'scripts' / 'colorize_job.yaml').read_text()
  count = int(re.search(r'completions: (\d+)', text)[1])
  begin = text.index('- exec') + 2
  command = ' '.join(text[begin : text.index('resources:')].split())
  write_command(pathlib.Path(env['PATH'].split(':')[0]) / 'python', RECORD)
  for index in (0, count - 1):
    env |= {'JOB_COMPLETION_INDEX': str(index)}
    result = subprocess.run(['sh', '-c', command], env=env, check=False)
    assert result.returncode == 0
    assert take_calls(env)[-2:] == ['--shard', f'{index + 1}/{count}']
