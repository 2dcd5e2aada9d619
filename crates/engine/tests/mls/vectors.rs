//! Published vectors of MLS (mlswg/mls-implementations, `welcome.json`, cipher suites 1 and 3, both
//! over X25519): the secrets of a Welcome open with the key package's private key.

use crate::points::hex;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};
use undertone_engine::mls::Provider;

struct Vector {
    aead: HpkeAeadType,
    init_priv: &'static str,
    init_key: &'static str,
    kem_output: &'static str,
    ciphertext: &'static str,
    encrypted_group_info: &'static str,
}

const VECTORS: [Vector; 2] = [
    Vector {
        aead: HpkeAeadType::AesGcm128,
        init_priv: "c697caf7ae54f695f9411d9dc81a206b91fabcaac62a13763213a045ecd72b1e",
        init_key: "28b2cd6417984dc4708c61a1cce7c0f11d181bd36d6f7a610ea21cb96f79ba60",
        kem_output: "a87de170e9dc54bd4a8a48f38cd5c949f0cc82fce8ea72232417975ec6bad950",
        ciphertext: "f6701d639694cbb51a4b2d0191f432add5267eea7b33f3c0c7edc65a28650adb0008f08b84a420bf1070516cb079a8e5c4159a",
        encrypted_group_info: "0bee12b78b86d125155b035f52e8a131469cf1b9645d70e270d3aa21c04945fa80b7fea30ccfceb436e4df23558cdc1a6cd435db3199314795b7c488b4bf0855cb589ad9c7eb43ea8bc9edef6b85ad1c97451b706e5de27aabe664dca132a288b3fc091b9100e470fb506833aaa4ab279a44c92c21e34dd295b6e49978d8c93cf20537bebc1a467177500d7fe6b127d5b3d13bf038cd2e8ec00937db6fd4996b2f2e416b810d0822b77bd71b59bf1e486c1ad74da0de9872f839b63928a03ae11e4dfacb7cf27ea2c35ae233d9c63fe901ddd4e7be7e643912bb39ad8a728792753bc8314317388e",
    },
    Vector {
        aead: HpkeAeadType::ChaCha20Poly1305,
        init_priv: "c697caf7ae54f695f9411d9dc81a206b91fabcaac62a13763213a045ecd72b1e",
        init_key: "28b2cd6417984dc4708c61a1cce7c0f11d181bd36d6f7a610ea21cb96f79ba60",
        kem_output: "d2481a99ac83f36f552ab3176394eb739a3985fbac1a62fb5bff9ca4e4964d38",
        ciphertext: "d3073bc3428958710169b048c854cefe52554e88c28a7e6e82c7469b4fd30239fe03a09bb811811162622f11f8b2aa741f63a2",
        encrypted_group_info: "25347868a893c650fa48d34eac9c586c49e41fc33c420e5bf33f6be1aa9acff5b551877391a5f56e29c73e141e2d97e2233bece24f7ca62e89b564722a99898e809c5879f7de08174418315c439078fe8e36765931bd0287043ab543350b53c910ac8e2186ab7a3ca29567e642acf439bafd5181f98c3bf8b3474dd7352893b55977f5c951ae0a40ce602b21c1c8e6d31bd3daff016b6deee26b1eb60bed7637fd791fc3f9b3f508a85945c5bcb78a092f1a3ab71bd1dfc3d3cf96c6b781b6bbe585b40b9b0f03017e9d80bd42088b371a0425367e9bb3e4844572510d8fc89109c85ade70809bd9",
    },
];

/// `EncryptContext` of RFC 9420, section 5.1.3.
fn context(label: &[u8], context: &[u8]) -> Vec<u8> {
    let label = [b"MLS 1.0 ", label].concat();
    // The lengths of RFC 9000, section 16: one byte below 64, two below 16,384.
    let two = (u16::try_from(context.len()).unwrap() | 0x4000).to_be_bytes();
    [&[u8::try_from(label.len()).unwrap()][..], &label, &two, context].concat()
}

/// W03a.
#[test]
fn w03a_the_published_welcomes_over_x25519_open() {
    for vector in &VECTORS {
        let provider = Provider::new();
        let (kem, kdf) = (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256);
        let sealed = HpkeCiphertext {
            kem_output: hex(vector.kem_output).into(),
            ciphertext: hex(vector.ciphertext).into(),
        };
        let info = context(b"Welcome", &hex(vector.encrypted_group_info));
        let open = |secret: &[u8]| {
            let config = HpkeConfig(kem, kdf, vector.aead);
            provider.crypto().hpke_open(config, &sealed, secret, &info, b"")
        };
        let secrets = open(&hex(vector.init_priv)).unwrap();
        // `GroupSecrets`: a joiner secret of 32 bytes, no path secret, no pre-shared keys.
        assert_eq!((secrets.len(), secrets[0], &secrets[33..]), (35, 32, &[0, 0][..]));
        assert!(open(&hex(vector.init_key)).is_err(), "and with nothing else");
    }
}
