"""Body parts and views: CS words of the console with the codes of PS3.16 that say the same.

Rules of this file: codes are SCT (CID 4031 Common Anatomic Region, CID 4010 DX View); a view without an entry is sent
as word alone, a body part without one with a code of our own scheme, never with a guessed one.  Patient orientation
is row\\column for an upright projection (PS3.3
C.7.6.1.1.1).
"""

from __future__ import annotations

from typing import Final

REGIONS: Final[dict[str, tuple[str, str]]] = {
    "ABDOMEN": ("818981001", "Abdomen"),
    "ACJOINT": ("85856004", "Acromioclavicular joint"),
    "ANKLE": ("70258002", "Ankle joint"),
    "ARM": ("40983000", "Upper arm"),
    "BREAST": ("76752008", "Breast"),
    "CALCANEUS": ("80144004", "Calcaneus"),
    "CHEST": ("816094009", "Chest"),
    "CLAVICLE": ("51299004", "Clavicle"),
    "COCCYX": ("64688005", "Coccyx"),
    "CSPINE": ("122494005", "Cervical spine"),
    "ELBOW": ("16953009", "Elbow joint"),
    "EXTREMITY": ("66019005", "Extremity"),
    "FACIALBONE": ("91397008", "Facial bones"),
    "FEMUR": ("71341001", "Femur"),
    "FIBULA": ("87342007", "Fibula"),
    "FINGER": ("7569003", "Finger"),
    "FOOT": ("56459004", "Foot"),
    "FOREARM": ("14975008", "Forearm"),
    "HAND": ("85562004", "Hand"),
    "HEAD": ("69536005", "Head"),
    "HIP": ("29836001", "Hip"),
    "HUMERUS": ("85050009", "Humerus"),
    "JAW": ("661005", "Jaw region"),
    "KNEE": ("72696002", "Knee"),
    "LEG": ("30021000", "Lower leg"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "LSSPINE": ("1217253001", "Lumbo-sacral spine"),
    "MANDIBLE": ("91609006", "Mandible"),
    "MAXILLA": ("70925003", "Maxilla"),
    "NECK": ("45048000", "Neck"),
    "NOSE": ("74386004", "Nasal bone"),
    "ORBIT": ("363654007", "Orbital structure"),
    "PATELLA": ("64234005", "Patella"),
    "PELVIS": ("816092008", "Pelvis"),
    "PHANTOM": ("706342009", "Phantom"),
    "RIB": ("113197003", "Rib"),
    "SACRUM": ("54735007", "Sacrum"),
    "SCAPULA": ("79601000", "Scapula"),
    "SHOULDER": ("16982005", "Shoulder"),
    "SIJOINT": ("39723000", "Sacroiliac joint"),
    "SINUS": ("2095001", "Paranasal sinus"),
    "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"),
    "STERNUM": ("56873002", "Sternum"),
    "THIGH": ("68367000", "Thigh"),
    "THUMB": ("76505004", "Thumb"),
    "TLSPINE": ("1217256009", "Thoraco-lumbar spine"),
    "TMJ": ("53620006", "Temporomandibular joint"),
    "TOE": ("29707007", "Toe"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "WHOLEBODY": ("38266002", "Entire body"),
    "WRIST": ("74670003", "Wrist joint"),
    "ZYGOMA": ("13881006", "Zygoma"),
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


def region(body_part: str) -> tuple[str, str, str]:
    """Code, scheme and meaning of a body part; one of our own scheme when CID 4031 was not mapped.

    An empty sequence beside a known Body Part Examined would say that the region is unknown (PS3.3 C.8.11.2).
    """
    known = REGIONS.get(body_part)
    return (known[0], "SCT", known[1]) if known else (body_part, "99VXVUE", body_part.capitalize())


def orientation(view: str) -> tuple[str, str]:
    """Patient Orientation of a view; a frontal projection shows the patient's left on the right (VX-E-24)."""
    return ORIENTATIONS.get(view, ("L", "F"))
