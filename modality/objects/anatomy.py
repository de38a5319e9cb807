"""Body parts and views: CS words of the console with the codes of PS3.16 that say the same.

Rules of this file: codes are SCT (CID 4031 Common Anatomic Region, CID 4010 DX View); a word without an entry is
sent as word alone, never with a guessed code.  Patient orientation is row\\column for an upright projection (PS3.3
C.7.6.1.1.1).
"""

from __future__ import annotations

from typing import Final

REGIONS: Final[dict[str, tuple[str, str]]] = {
    "ABDOMEN": ("818981001", "Abdomen"),
    "CALCANEUS": ("80144004", "Calcaneus"),
    "CHEST": ("816094009", "Chest"),
    "CLAVICLE": ("51299004", "Clavicle"),
    "COCCYX": ("64688005", "Coccyx"),
    "CSPINE": ("122494005", "Cervical spine"),
    "EXTREMITY": ("66019005", "Extremity"),
    "FEMUR": ("71341001", "Femur"),
    "FINGER": ("7569003", "Finger"),
    "FOOT": ("56459004", "Foot"),
    "FOREARM": ("14975008", "Forearm"),
    "HAND": ("85562004", "Hand"),
    "HEAD": ("69536005", "Head"),
    "HIP": ("29836001", "Hip"),
    "HUMERUS": ("85050009", "Humerus"),
    "KNEE": ("72696002", "Knee"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "NECK": ("45048000", "Neck"),
    "PELVIS": ("816092008", "Pelvis"),
    "RIB": ("113197003", "Rib"),
    "SCAPULA": ("79601000", "Scapula"),
    "SHOULDER": ("16982005", "Shoulder"),
    "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"),
    "STERNUM": ("56873002", "Sternum"),
    "TOE": ("29707007", "Toe"),
    "TSPINE": ("122495006", "Thoracic spine"),
}

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "AP": ("399348003", "antero-posterior"),
    "PA": ("272479007", "postero-anterior"),
    "LL": ("399173006", "left lateral"),
    "RL": ("399198007", "right lateral"),
    "LLO": ("399184004", "left oblique"),
    "RLO": ("399236003", "right oblique"),
}

ORIENTATIONS: Final[dict[str, tuple[str, str]]] = {
    "LL": ("A", "F"),
    "RL": ("P", "F"),
    "LLD": ("L", "F"),
    "RLD": ("L", "F"),
}

PAIRED: Final = frozenset(
    {"CALCANEUS", "CLAVICLE", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HIP", "HUMERUS", "KNEE", "SCAPULA",
     "SHOULDER", "TOE", "EXTREMITY"}
)  # fmt: skip


def orientation(view: str) -> tuple[str, str]:
    """Patient Orientation of a view; a frontal projection shows the patient's left on the right (VX-E-24)."""
    return ORIENTATIONS.get(view, ("L", "F"))
