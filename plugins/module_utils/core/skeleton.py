# Copyright (c) 2026 openlmis.operations contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way in which a module of this collection begins, fails and ends."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.openlmis.operations.plugins.module_utils.core import progress
from ansible_collections.openlmis.operations.plugins.module_utils.core.errors import OperationError, leave

Work = Callable[[AnsibleModule], Dict[str, Any]]


def main(spec: Dict[str, Any], work: Work, **options: Any) -> None:
    """Run a module: C(work) returns its result, or raises an error that becomes one sentence for the operator."""
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **options)
    try:
        result = work(module)
    except OperationError as error:
        module.fail_json(msg=str(error), **error.facts)
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        module.fail_json(msg=text)
    leave(module, **result)


def shown(
    spec: Dict[str, Any], work: Callable[..., Dict[str, Any]], *needs: Callable[[AnsibleModule], None], **options: Any
) -> None:
    """Run a module whose progress is shown: C(work) is given its options, check mode and where to say how far it is.

    C(needs) fail a module whose library is missing.
    """

    def whole(module: AnsibleModule) -> Dict[str, Any]:
        for need in needs:
            need(module)
        with progress.Progress(module.params["progress_file"]) as progressing:
            return work(module.params, module.check_mode, progressing)

    main({**spec, **progress.argument_spec()}, whole, **options)


def sentence(error: Exception) -> Optional[str]:
    """Return what an operator can do about an error of a file, of Docker or of PostgreSQL; None for a
    fault of our own.
    """
    if isinstance(error, _classes("psycopg2", "Error")):
        said = (getattr(error, "diag", None) and error.diag.message_primary) or "the connection was lost"
        return f"PostgreSQL refused ({said}). Look at the database server, and run this again."
    # Before files: what requests raises of a lost engine are OSErrors, too.
    if isinstance(error, (*_classes("docker.errors", "DockerException"), *_classes("requests", "RequestException"))):
        said = getattr(error, "explanation", None) or next(iter(str(error).splitlines()), type(error).__name__)
        return f"The Docker Engine refused ({said}). Look at `docker info` and the engine's log, and run this again."
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename} " if error.filename else "A file "
        return f"{name}cannot be used ({error.strerror}). Fix that, and run this again."
    return None


def _classes(module: str, name: str) -> tuple:
    """Return the class where its library was imported; none otherwise: an error of it cannot have been raised then."""
    found = sys.modules.get(module)
    return (getattr(found, name),) if found is not None and hasattr(found, name) else ()
